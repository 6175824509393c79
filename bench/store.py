"""A run folder: records written atomically, read back tolerantly. Imports no torch.

RUNS/run.json              schema version
RUNS/cells/KEY.json        one record a cell
RUNS/latency/NAME.json     latency measurements
RUNS/models/KEY.safetensors   packed models
RUNS/float/GROUP.safetensors  shared float phases
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantdg.bench.records import SCHEMA, Latency, Record
from quantdg.core.errors import RecordError


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, rename: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Unreadable:
    """A record file that was skipped, and why."""

    path: Path
    reason: str


class RunStore:
    """The records of one run folder.

    Args:
        root: the folder.
        create: make it where it does not exist; else a missing folder is a RecordError.
    """

    def __init__(self, root: Path, create: bool = False) -> None:
        self.root = root
        marker = root / "run.json"
        if marker.exists():
            self._check(marker)
        elif create:
            if root.exists() and any(root.iterdir()):
                raise RecordError(f"{root} is not a run folder and not empty; choose another with out=FOLDER")
            write_atomic(marker, json.dumps({"schema": SCHEMA}))
        else:
            raise RecordError(f"{root} is not a run folder (it has no run.json); give the folder of a quantdg run")

    def _check(self, marker: Path) -> None:
        try:
            schema = json.loads(marker.read_text())["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{marker} cannot be read ({error}); restore it or choose another folder") from error
        if schema != SCHEMA:
            raise RecordError(
                f"{self.root} was written with schema {schema}, this version reads {SCHEMA}; choose another folder"
            )

    def cell_path(self, key: str) -> Path:
        """Where the record ``key`` is or will be."""
        return self.root / "cells" / f"{key}.json"

    def write(self, record: Record) -> None:
        """Store a record atomically."""
        write_atomic(self.cell_path(record.key), record.to_json())

    def write_latency(self, latency: Latency) -> None:
        """Store a measurement atomically; a newer one of the same kind replaces it."""
        runtime = latency.runtime.replace(" ", "-")
        name = f"{latency.key}-{runtime}-{latency.arithmetic}-b{latency.batch}-t{latency.threads}.json"
        write_atomic(self.root / "latency" / name, latency.to_json())

    def read(self, key: str) -> Record | None:
        """The record ``key``, or None where there is none or only a damaged one."""
        path = self.cell_path(key)
        try:
            return Record.from_json(path.read_text(), str(path))
        except (FileNotFoundError, RecordError, UnicodeDecodeError):
            return None

    def records(self) -> Iterator[Record | Unreadable]:
        """All records in file order; damaged files come as Unreadable and stop nothing."""
        for path in sorted((self.root / "cells").glob("*.json")):
            try:
                yield Record.from_json(path.read_text(), str(path))
            except (RecordError, UnicodeDecodeError) as error:
                yield Unreadable(path, str(error))

    def latencies(self) -> Iterator[Latency | Unreadable]:
        """All latency measurements in file order."""
        for path in sorted((self.root / "latency").glob("*.json")):
            try:
                yield Latency.from_json(path.read_text(), str(path))
            except (RecordError, UnicodeDecodeError) as error:
                yield Unreadable(path, str(error))
