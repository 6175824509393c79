"""A run folder: records written atomically, read back tolerantly. Imports no torch.

RUNS/run.json              schema version
RUNS/cells/KEY.json        one record a cell
RUNS/latency/NAME.json     latency measurements
RUNS/log/KEY.txt           traceback of a failed cell
RUNS/models/KEY.safetensors   packed models
RUNS/float/GROUP.safetensors  shared float phases
RUNS/plans/NAME.json       the cells that were asked for
RUNS/search/NAME.json      which cells are trials of which row
RUNS/verdict.json          how claims are to be decided
RUNS/work                  leases and trainings in the middle; empty when nothing runs

This is code of this project because a folder of files, written by many machines at once, needs no server and outlives
every version; what is written whole or not at all, and by the first writer, is in `quantdg.bench.results.files`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...core.errors import RecordError
from .archive import FILE as ARCHIVE
from .archive import MARKER
from .codec import WRONG
from .files import remove, write_atomic, write_first
from .folder import inside, listed, read_text
from .latency import Latency
from .record import READABLE, SCHEMA, Record

CELLS = "cells"
Parsed = TypeVar("Parsed")


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
        marker = root / MARKER
        if create and not os.path.lexists(marker):
            self._create(marker)
        if not os.path.lexists(marker):
            raise RecordError(
                f"{root} is not a run folder (it has no run.json); {self._advice('give the folder of a quantdg run')}"
            )
        self._check(marker, writing=create)

    def _create(self, marker: Path) -> None:
        """Make the marker, as the first file of the folder; another driver may do the same at this moment."""
        drafts = f".{marker.name}."
        if self.root.exists() and not self.root.is_dir():
            raise RecordError(f"{self.root} is not a folder; choose another with out=FOLDER")
        others = self.root.is_dir() and any(not path.name.startswith(drafts) for path in self.root.iterdir())
        if others and not os.path.lexists(marker):
            advice = self._advice("choose another with out=FOLDER")
            raise RecordError(f"{self.root} is not a run folder and not empty; {advice}")
        write_first(marker, json.dumps({"schema": SCHEMA}))

    def _advice(self, otherwise: str) -> str:
        """What to write instead of a folder of published records, which stay as they are."""
        if not (self.root / ARCHIVE).exists():
            return otherwise
        return f"quantdg merge {self.root} --out RUNS makes one of the records published there"

    def _check(self, marker: Path, writing: bool) -> None:
        try:
            schema = json.loads(read_text(marker))["schema"]
        except (FileNotFoundError, RecordError, *WRONG) as error:
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

    def path(self, relative: str) -> Path:
        """Return the path of any file of the folder; RecordError where that leads outside."""
        return inside(self.root, relative)

    def cell_path(self, key: str) -> Path:
        """Return where the record ``key`` is or will be."""
        return self.path(f"{CELLS}/{key}.json")

    def write(self, record: Record) -> None:
        """Store a record atomically."""
        write_atomic(self.cell_path(record.key), record.to_json())

    def write_first(self, record: Record) -> bool:
        """Store a record unless there is one by this key; returns whether it was stored."""
        return write_first(self.cell_path(record.key), record.to_json())

    def delete(self, key: str) -> None:
        """Remove the record ``key`` and what an interrupted training of it has left."""
        remove(self.cell_path(key), self.snapshot_path(key), self.log_path(key))

    def delete_float(self, group: str) -> None:
        """Remove a float phase and what an interrupted training of it has left."""
        remove(self.float_path(group), self.snapshot_path(group))

    @property
    def work(self) -> Path:
        """Leases and snapshots are in this folder."""
        return self.path("work/-").parent

    def snapshot_path(self, name: str) -> Path:
        """Return where a training in the middle is kept: by the cell's key, or the group's for a float phase."""
        return self.path(f"work/{name}.safetensors")

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
        return self.path(f"float/{group}.safetensors")

    def model_path(self, record: Record) -> Path | None:
        """Return where the packed model of a cell is; None where it has none."""
        return self.path(record.sizes.path) if record.sizes is not None and record.sizes.path else None

    def packed_path(self, key: str) -> Path:
        """Return where the packed model of a cell is or will be, whatever its record says."""
        return self.path(f"models/{key}.safetensors")

    def discard_model(self, key: str) -> None:
        """Remove the packed model of a cell that has no result."""
        remove(self.packed_path(key))

    def log_path(self, key: str) -> Path:
        """Return where the traceback of a failed cell is or will be."""
        return self.path(f"log/{key}.txt")

    def write_log(self, key: str, text: str) -> str:
        """Store the traceback of a failed cell; returns its place as a record names it."""
        write_atomic(self.log_path(key), text.encode(errors="backslashreplace"))
        return f"log/{key}.txt"

    def read_log(self, record: Record) -> str | None:
        """Return the traceback of a failed cell; None where its record names none or the file is gone."""
        if not record.log:
            return None
        try:
            return read_text(self.path(record.log))
        except FileNotFoundError:
            return None

    def write_latency(self, latency: Latency) -> None:
        """Store a measurement atomically; a newer one of the same kind replaces it."""
        write_atomic(self.path(latency.file), latency.to_json())

    def read(self, key: str) -> Record | None:
        """Return the record ``key``, or None where there is none or only a damaged one."""
        try:
            return self.load(key)
        except RecordError:
            return None

    def load(self, key: str) -> Record:
        """Return the record ``key``; RecordError, which says why, where there is none or only a damaged one."""
        return self._parse(self._text(key), self.cell_path(key))

    def stored(self, key: str) -> Any:
        """Return the JSON of a record that can be read, as it is stored; RecordError for any other."""
        text = self._text(key)
        self._parse(text, self.cell_path(key))
        return json.loads(text)

    def _text(self, key: str) -> str:
        path = self.cell_path(key)
        try:
            return read_text(path)
        except FileNotFoundError as error:
            raise RecordError(f"{path} is not there; give the key of a cell of this folder") from error

    def _parse(self, text: str, path: Path) -> Record:
        return Record.from_json(text, str(path), path.stem)

    def records(self) -> Iterator[Record | Unreadable]:
        """Yield all records in file order; damaged files come as Unreadable and stop nothing."""
        return parsed(self.root, CELLS, self._parse)

    def latencies(self) -> Iterator[Latency | Unreadable]:
        """Yield all latency measurements in file order; damaged files come as Unreadable."""
        return parsed(self.root, "latency", Latency.named)


def parsed(
    root: Path, folder: str, parse: Callable[[str, Path], Parsed], *, other: tuple[str, ...] = ()
) -> Iterator[Parsed | Unreadable]:
    """Yield what the JSON files of a folder hold, in file order; what cannot be read comes as Unreadable.

    Args:
        root: the run folder.
        folder: in it.
        parse: makes the object of a file's text and path; RecordError where it is damaged.
        other: endings of names that are no records.
    """
    for path in listed(root, folder, ".json"):
        if not path.name.endswith(other) and (found := parsed_file(path, parse)) is not None:
            yield found


def parsed_file(path: Path, parse: Callable[[str, Path], Parsed]) -> Parsed | Unreadable | None:
    """Return what one file holds, as `parsed` does; None where it is not there."""
    try:
        return parse(read_text(path), path)
    except FileNotFoundError:
        return None
    except RecordError as error:
        return Unreadable(path, str(error))
