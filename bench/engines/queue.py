"""Which cell next, and for whom: groups share a float phase, then their branches go wherever there is room."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

from ..experiment.grid import Cell


class Deaths:
    """How often cells died without getting any further."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def add(self, key: str, progress: int) -> int:
        """Count a death of a cell at this progress; a cell that has got further since the last one starts anew."""
        count, before = self._seen.get(key, (0, progress))
        count = count + 1 if progress == before else 1
        self._seen[key] = count, progress
        return count


class CellQueue:
    """The cells of a sweep that still have to be given out.

    Args:
        cells: in the order they are to be run.
        ready: whether the float phase of a group (by its key) is stored.
    """

    def __init__(self, cells: Iterable[Cell], ready: Callable[[str], bool]) -> None:
        self.waiting: dict[str, deque[Cell]] = {}
        self.elsewhere: dict[str, Cell] = {}
        self.workers: Counter[str] = Counter()
        self.lost = Deaths()
        self._ready = ready
        for cell in cells:
            self.waiting.setdefault(cell.group.key, deque()).append(cell)

    def open_group(self) -> str | None:
        """The group a further process should work on, or None where it would find nothing to do.

        Untouched groups come first; a group in work is split once its float phase is stored, the one with the most
        cells for each of its processes first.
        """
        left = {key: len(cells) for key, cells in self.waiting.items() if cells}
        for key in left:
            if not self.workers[key]:
                return key
        split = {key: count / (1 + self.workers[key]) for key, count in left.items() if self._ready(key)}
        return max(split, key=lambda key: split[key], default=None)

    def take(self, group: str) -> Cell | None:
        """The next cell of a group."""
        cells = self.waiting.get(group)
        return cells.popleft() if cells else None

    def move(self, group: str) -> str | None:
        """Where a process goes that has found its group empty; it counts there from now on."""
        self.workers[group] -= 1
        found = self.open_group()
        if found is not None:
            self.workers[found] += 1
        return found

    def give_back(self, cell: Cell) -> None:
        """A cell whose process died: the others of its group come first."""
        self.waiting[cell.group.key].append(cell)

    def postpone(self, cell: Cell, whole_group: bool) -> None:
        """Another driver works on this cell, or on the float phase that its whole group waits for."""
        self.elsewhere[cell.key] = cell
        if whole_group:
            while (other := self.take(cell.group.key)) is not None:
                self.elsewhere[other.key] = other

    def resume(self, key: str) -> None:
        """Nobody works on a postponed cell any more."""
        cell = self.elsewhere.pop(key)
        self.waiting[cell.group.key].append(cell)

    def lose(self, cell: Cell, progress: int = 0) -> int:
        """Count a death; returns how many this cell has seen at this place (``progress`` as of its snapshot)."""
        return self.lost.add(cell.key, progress)
