"""Which records of a folder a tool has been told, so that nothing is told twice. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...core.errors import RecordError
from ..results.files import StorageError, remove
from ..results.folder import read_text, read_with_status
from ..results.record import Record
from ..results.store import RunStore

FOLDER = "tracking"
"""Of a run folder; each tool has one in it."""


class Fresh(NamedTuple):
    """This record has not been told: it, what tells it from an earlier one of the cell, and when it was stored."""

    record: Record
    version: str
    ended: float


class Ledger:
    """A ledger notes for one tool each record that it was told, as a line in RUNS/tracking/TOOL/told.txt.

    Args:
        store: the run folder.
        tool: its name.
    """

    def __init__(self, store: RunStore, tool: str) -> None:
        self.store = store
        self.folder = store.path(f"{FOLDER}/{tool}/-").parent
        self.path = self.folder / "told.txt"
        self._told = set(self._lines())

    def fresh(self, keys: Iterable[str]) -> Iterator[Fresh]:
        """Yield the records that are done and have not been told, or have changed since."""
        for key in keys:
            try:
                data, status = read_with_status(str(self.store.cell_path(key)))
                version = hashlib.sha256(data).hexdigest()[:8]
                if f"{key} {version}" not in self._told:
                    record = Record.from_json(data.decode(), key, key)
                    if record.status == "done":
                        yield Fresh(record, version, status.st_mtime)
            except (FileNotFoundError, RecordError, UnicodeDecodeError):
                continue

    def note(self, told: Fresh) -> None:
        """Note a record as told; StorageError where that cannot be written."""
        line = f"{told.record.key} {told.version}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise StorageError.of(self.path, error) from error
        self._told.add(line)

    def forget(self) -> None:
        """Forget what was told, so that all is told again."""
        remove(self.path)
        self._told.clear()

    def _lines(self) -> list[str]:
        try:
            return read_text(self.path).splitlines()
        except FileNotFoundError:
            return []
