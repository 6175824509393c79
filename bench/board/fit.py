"""A grid of any size cut to the lines and columns of a terminal: what is folded or left out is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from .board import WAITING, Board

Name = tuple[str, str]
Key = TypeVar("Key")
FEW = 4
"""Up to so many cells are shown in a place of the grid one by one."""
NAME = 14
"""Characters of a target's name that are shown."""
ROW_NAME = 30


@dataclass(frozen=True)
class Grid:
    """A grid has counts of states by row and column.

    Attributes:
        rows: (algorithm, quantizer).
        columns: (data set, target).
        boxes: for each row and column how many cells are in each state.
        notes: what was folded or left out to make it fit.
    """

    rows: tuple[Name, ...]
    columns: tuple[Name, ...]
    boxes: tuple[tuple[Mapping[str, int], ...], ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def single(self) -> bool:
        """Whether each place has so few cells that each is shown."""
        return all(sum(box.values()) <= FEW for row in self.boxes for box in row)

    def transposed(self) -> Grid:
        """Return it with rows and columns exchanged."""
        boxes = tuple(zip(*self.boxes, strict=True))
        return Grid(self.columns, self.rows, boxes, self.notes)

    def width(self) -> int:
        """Return how many characters a line takes."""
        texts = [self.box_width(i) for i in range(len(self.columns))]
        return 2 + max((len(row_name(row)) for row in self.rows), default=0) + sum(2 + text for text in texts)

    def box_width(self, column: int) -> int:
        """Return the characters of a column."""
        dataset, target = self.columns[column]
        alone = sum(name == dataset for name, _ in self.columns) == 1
        name = max(len(target), len(dataset) if alone else 3)
        return max([min(NAME, name), *(len(box_text(row[column], self.single)) for row in self.boxes)])


def box_text(box: Mapping[str, int], single: bool) -> str:
    """Return what stands in a place: a letter for each cell, or how many of all are done and how many failed."""
    if single:
        return "".join(state[0] * count for state, count in box.items())
    wrong = box.get("failed", 0) + box.get("damaged", 0)
    return f"{box.get('done', 0)}/{sum(box.values())}" + (f" x{wrong}" if wrong else "")


def row_name(row: Name) -> str:
    """Return the name of a row as it is shown."""
    name = "  ".join(filter(None, row))
    return name if len(name) <= ROW_NAME else f"{name[: ROW_NAME - 1]}…"


def fitted(board: Board, width: int, lines: int) -> Grid:
    """Return the grid of a board in at most so many characters and lines, one line a row.

    Targets are folded into their data sets first, algorithms into one; what is still too much is summed in a last
    column and a last row.
    """
    grid = Grid(board.rows, board.columns, board.grid)
    if grid.width() > width and len({name for name, _ in grid.columns}) < len(grid.columns):
        grid = _folded(grid.transposed(), lambda name: (name[0], "all"), "targets of a data set together").transposed()
    grid = _narrow(grid, width)
    if len(grid.rows) > lines and len({name for _, name in grid.rows}) < len(grid.rows):
        grid = _folded(grid, lambda name: ("", name[1]), "all algorithms together")
    if len(grid.rows) > lines:
        grid = _cut(_urgent_first(grid), max(1, lines - 1), "rows")
    return grid


def _narrow(grid: Grid, width: int) -> Grid:
    found, columns = grid, grid.transposed()
    for keep in range(len(grid.columns) - 1, 0, -1):
        if found.width() <= width:
            break
        found = _cut(columns, keep, "columns").transposed()
    return found


def _folded(grid: Grid, key: Callable[[Name], Name], note: str) -> Grid:
    names = tuple(dict.fromkeys(map(key, grid.rows)))
    groups = {name: [i for i, row in enumerate(grid.rows) if key(row) == name] for name in names}
    boxes = tuple(_sum([grid.boxes[i] for i in groups[name]]) for name in names)
    return Grid(names, grid.columns, boxes, (*grid.notes, note))


def _cut(grid: Grid, keep: int, what: str) -> Grid:
    """The first rows, and one that sums up the others."""
    rest = len(grid.rows) - keep
    rows = (*grid.rows[:keep], ("", f"{rest} more"))
    boxes = (*grid.boxes[:keep], _sum(grid.boxes[keep:]))
    return Grid(rows, grid.columns, boxes, (*grid.notes, f"the last {rest} {what} together"))


def _sum(rows: Sequence[Sequence[Mapping[str, int]]]) -> tuple[Mapping[str, int], ...]:
    return tuple(dict(sum((Counter(box) for box in column), Counter[str]())) for column in zip(*rows, strict=True))


def _urgent_first(grid: Grid) -> Grid:
    """Rows with failures before those that go on, and these before what is done or waits as a whole."""

    def rank(i: int) -> int:
        states = {state for box in grid.boxes[i] for state in box}
        if states & {"failed", "damaged"}:
            return 0
        return 1 if "running" in states else 2 if states - {"done", WAITING} else 3

    order = sorted(range(len(grid.rows)), key=rank)
    return replace(grid, rows=tuple(grid.rows[i] for i in order), boxes=tuple(grid.boxes[i] for i in order))
