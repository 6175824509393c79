"""Which cell next, and for whom: groups share a float phase, then their branches go wherever there is room."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

from ..experiment.grid import Cell


def waiting_line(count: int, holder: str) -> str:
    """Return what a driver says when others have all that is left."""
    return f"waiting for {count} cells that others work on ({holder})"


class DeathCounter:
    """This counts how often cells died without getting any further."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def add(self, key: str, progress: int) -> int:
        """Count a death of a cell at this progress; a cell that has got further since the last one starts anew."""
        count, before = self._seen.get(key, (0, progress))
        count = count + 1 if progress == before else 1
        self._seen[key] = count, progress
        return count


class CellQueue:
    """The queue holds cells that still have to be given out, and counts the processes that work on each group.

    Args:
        cells: in the order they are to be run.
        ready: whether the float phase of a group (by its key) is stored.
    """

    def __init__(self, cells: Iterable[Cell], ready: Callable[[str], bool]) -> None:
        self._waiting: dict[str, deque[Cell]] = {}
        self._deferred: dict[str, Cell] = {}
        self._workers: Counter[str] = Counter()
        self._deaths = DeathCounter()
        self._ready = ready
        for cell in cells:
            self._waiting.setdefault(cell.group.key, deque()).append(cell)

    @property
    def waiting(self) -> tuple[Cell, ...]:
        """The cells that can be taken now, group by group."""
        return tuple(cell for cells in self._waiting.values() for cell in cells)

    @property
    def deferred(self) -> tuple[Cell, ...]:
        """The cells that another driver works on."""
        return tuple(self._deferred.values())

    def open_group(self) -> str | None:
        """Return the group a further process should work on, or None where it would find nothing to do.

        Untouched groups come first; a group in work is split once its float phase is stored, the one with the most
        cells for each of its processes first.
        """
        left = {key: len(cells) for key, cells in self._waiting.items() if cells}
        for key in left:
            if not self._workers[key]:
                return key
        split = {key: count / (1 + self._workers[key]) for key, count in left.items() if self._ready(key)}
        return max(split, key=lambda key: split[key], default=None)

    def join(self, group: str) -> None:
        """Count one more process that works on this group."""
        self._workers[group] += 1

    def leave(self, group: str) -> None:
        """Count one process less that works on this group."""
        self._workers[group] -= 1

    def move(self, group: str) -> str | None:
        """Return where a process goes that has found its group empty, or None; it counts there from now on."""
        self.leave(group)
        found = self.open_group()
        if found is not None:
            self.join(found)
        return found

    def take(self, group: str) -> Cell | None:
        """Take the next cell of a group out of the queue; None where none is left."""
        cells = self._waiting.get(group)
        return cells.popleft() if cells else None

    def requeue(self, cell: Cell) -> None:
        """Put a cell whose process died back; the others of its group come first."""
        self._waiting[cell.group.key].append(cell)

    def defer(self, cell: Cell, whole_group: bool) -> None:
        """Set aside a cell that another driver works on, or all of a group whose float phase it works on."""
        self._deferred[cell.key] = cell
        if whole_group:
            while (other := self.take(cell.group.key)) is not None:
                self._deferred[other.key] = other

    def resume(self, cell: Cell) -> None:
        """Put a deferred cell back that nobody works on any more."""
        self.drop(cell)
        self.requeue(cell)

    def drop(self, cell: Cell) -> None:
        """Forget a deferred cell that another driver has stored."""
        del self._deferred[cell.key]

    def record_death(self, cell: Cell, progress: int = 0) -> int:
        """Count a death; returns how many this cell has seen at this place (``progress`` as of its snapshot)."""
        return self._deaths.add(cell.key, progress)
