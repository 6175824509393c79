"""From a run folder to its board, again and again."""

from __future__ import annotations

import threading
from pathlib import Path

from ..results.store import RunStore
from ..sweep.status import StatusReader
from .board import Board


class BoardReader:
    """This makes the boards of one run folder; files that have not changed are not read again.

    Args:
        folder: the run folder.

    Raises:
        RecordError: it is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status = StatusReader(RunStore(folder))
        self._one = threading.Lock()

    def read(self) -> Board:
        """Return the board of this moment; threads take turns."""
        with self._one:
            return Board.of(str(self.folder), self._status.read())
