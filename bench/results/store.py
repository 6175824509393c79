"""A run folder: records written atomically, read back tolerantly. Imports no torch.

RUNS/run.json              schema version
RUNS/cells/KEY.json        one record a cell
RUNS/latency/NAME.json     latency measurements
RUNS/models/KEY.safetensors   packed models
RUNS/float/GROUP.safetensors  shared float phases
RUNS/plans/NAME.json       the cells that were asked for
RUNS/verdict.json          how claims are to be decided
RUNS/work                  leases and trainings in the middle; empty when nothing runs

This is code of this project because a folder of files, written by many machines at once, needs no server and outlives
every version; what is written whole or not at all, and by the first writer, is in `quantdg.bench.results.files`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import RecordError
from .files import remove, write_atomic, write_first
from .latency import Latency
from .record import READABLE, SCHEMA, Record


@dataclass(frozen=True)
class Unreadable:
    """This stands for a record file that was skipped, and says why."""

    path: Path
    reason: str


class RunStore:
    """A store reads and writes the records of one run folder.

    Args:
        root: the folder.
        create: for writing: make it where it does not exist, and refuse one of an older schema; else a missing folder is
            a RecordError.
    """

    def __init__(self, root: Path, create: bool = False) -> None:
        self.root = root
        marker = root / "run.json"
        if marker.exists():
            self._check(marker, writing=create)
        elif create:
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise RecordError(f"{root} is not a run folder and not empty; choose another with out=FOLDER")
            write_atomic(marker, json.dumps({"schema": SCHEMA}))
        else:
            raise RecordError(f"{root} is not a run folder (it has no run.json); give the folder of a quantdg run")

    def _check(self, marker: Path, writing: bool) -> None:
        try:
            schema = json.loads(marker.read_text())["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{marker} cannot be read ({error}); restore it or choose another folder") from error
        if schema not in READABLE:
            raise RecordError(
                f"{self.root} was written with schema {schema}, this version reads 1 and 2; choose another folder"
            )
        if writing and schema != SCHEMA:
            raise RecordError(
                f"{self.root} was written by version 0.3, whose cells have other keys; report, verdict, deploy, ensemble and "
                "merge read it, for new cells write out=ANOTHER_FOLDER"
            )

    def cell_path(self, key: str) -> Path:
        """Return where the record ``key`` is or will be."""
        return self.root / "cells" / f"{key}.json"

    def write(self, record: Record) -> None:
        """Store a record atomically."""
        write_atomic(self.cell_path(record.key), record.to_json())

    def write_first(self, record: Record) -> bool:
        """Store a record unless there is one by this key; returns whether it was stored."""
        return write_first(self.cell_path(record.key), record.to_json())

    def delete(self, key: str) -> None:
        """Remove the record ``key`` and what an interrupted training of it has left."""
        remove(self.cell_path(key), self.snapshot_path(key))

    def delete_float(self, group: str) -> None:
        """Remove a float phase and what an interrupted training of it has left."""
        remove(self.float_path(group), self.snapshot_path(group))

    @property
    def work(self) -> Path:
        """Leases and snapshots are in this folder."""
        return self.root / "work"

    def snapshot_path(self, name: str) -> Path:
        """Return where a training in the middle is kept: by the cell's key, or the group's for a float phase."""
        return self.work / f"{name}.safetensors"

    def progress(self, *names: str) -> int:
        """Return a number that changes whenever a snapshot of one of these is written; 0 where there is none."""
        found = 0
        for name in names:
            try:
                found = max(found, self.snapshot_path(name).stat().st_mtime_ns)
            except FileNotFoundError:
                continue
        return found

    def float_path(self, group: str) -> Path:
        """Return where the float phase of a group is or will be."""
        return self.root / "float" / f"{group}.safetensors"

    def write_latency(self, latency: Latency) -> None:
        """Store a measurement atomically; a newer one of the same kind replaces it."""
        runtime = latency.runtime.replace(" ", "-")
        name = f"{latency.key}-{runtime}-{latency.arithmetic}-b{latency.batch}-t{latency.threads}.json"
        write_atomic(self.root / "latency" / name, latency.to_json())

    def read(self, key: str) -> Record | None:
        """Return the record ``key``, or None where there is none or only a damaged one."""
        path = self.cell_path(key)
        try:
            return Record.from_json(path.read_text(), str(path))
        except (FileNotFoundError, NotADirectoryError, RecordError, UnicodeDecodeError):
            return None

    def load(self, key: str) -> Record:
        """Return the record ``key``; RecordError where there is none or only a damaged one."""
        record = self.read(key)
        if record is None:
            raise RecordError(f"{self.cell_path(key)} is not a whole record; run the cell again")
        return record

    def records(self) -> Iterator[Record | Unreadable]:
        """Yield all records in file order; damaged files come as Unreadable and stop nothing."""
        for path in sorted((self.root / "cells").glob("*.json")):
            try:
                yield Record.from_json(path.read_text(), str(path))
            except (RecordError, UnicodeDecodeError) as error:
                yield Unreadable(path, str(error))

    def latencies(self) -> Iterator[Latency | Unreadable]:
        """Yield all latency measurements in file order; damaged files come as Unreadable."""
        for path in sorted((self.root / "latency").glob("*.json")):
            try:
                yield Latency.from_json(path.read_text(), str(path))
            except (RecordError, UnicodeDecodeError) as error:
                yield Unreadable(path, str(error))
