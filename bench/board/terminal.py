"""The board on a terminal, and as plain text in a pipe: at most 40 lines of at most 120 characters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import groupby

from rich.console import Group
from rich.text import Text

from ...core.text import in_a_line
from .board import Board, duration
from .fit import Grid, box_text, fitted, row_name

LINES, WIDTH = 40, 120
LEAST_ROWS = 3
AT_WORK, RESULTS, REASONS, IGNORED = 3, 5, 3, 2
"""Lines of each list at most."""
GLYPHS = {
    "done": ("●", "#", "green"),
    "running": ("◐", ">", "cyan"),
    "waiting": ("·", ".", "dim"),
    "failed": ("✗", "x", "bold red"),
    "unsupported": ("–", "-", "dim"),
    "unavailable": ("?", "?", "yellow"),
    "damaged": ("!", "!", "bold red"),
}
"""A state's glyph, the same in ASCII, and its style; the shapes differ, so that no colour is needed."""


class TerminalBoard:
    """This draws boards for one terminal.

    Args:
        width: characters of a line.
        lines: at most.
        ascii_only: whether the terminal shows ASCII only.
    """

    def __init__(self, width: int = WIDTH, lines: int = LINES, ascii_only: bool = False) -> None:
        self.width, self.lines = min(width, WIDTH), min(lines, LINES)
        self.ascii_only = ascii_only

    def draw(self, board: Board) -> Group:
        """Return the board for rich to print."""
        head, foot = list(self._head(board)), list(self._foot(board))
        room = self.lines - len(head) - len(foot) - 5  # two lines above the grid, the legend, two empty ones
        grid = fitted(board, self.width, max(LEAST_ROWS, room))
        body = list(self._grid(grid)) if board.total else [Text("no cell has been asked for yet")]
        return Group(*(self._line(text) for text in [*head, Text(), *body, Text(), *foot][: self.lines]))

    def _line(self, text: Text) -> Text:
        text.no_wrap, text.overflow = True, "ellipsis" if not self.ascii_only else "crop"
        text.truncate(self.width, overflow="crop" if self.ascii_only else "ellipsis")
        return text

    def _glyph(self, state: str) -> tuple[str, str]:
        glyph, plain, style = GLYPHS[state]
        return plain if self.ascii_only else glyph, style

    def _head(self, board: Board) -> Iterator[Text]:
        clock = time.strftime("%H:%M:%S", time.localtime(board.at))
        yield Text.assemble((in_a_line(board.folder), "bold"), f"  {clock}")
        full = round(20 * board.share)
        bar = ("#" * full + "." * (20 - full)) if self.ascii_only else ("█" * full + "░" * (20 - full))
        yield Text(f"{bar} {int(100 * board.share)} %  {board.counts()}")
        yield Text(board.speed())

    def _grid(self, grid: Grid) -> Iterator[Text]:
        name = max(map(len, map(row_name, grid.rows))) + 2
        widths = [grid.box_width(i) for i in range(len(grid.columns))]
        first = Text(" " * name, style="dim")
        for dataset, part in groupby(range(len(widths)), key=lambda i: grid.columns[i][0]):
            room = sum(widths[i] + 2 for i in part)
            first.append(in_a_line(dataset)[: room - 1].ljust(room))
        second = Text(" " * name, style="dim")
        for (_, target), width in zip(grid.columns, widths, strict=True):
            second.append(in_a_line(target)[:width].ljust(width + 2))
        yield from (first, second)
        for row, boxes in zip(grid.rows, grid.boxes, strict=True):
            line = Text(in_a_line(row_name(row)).ljust(name))
            for box, width in zip(boxes, widths, strict=True):
                line.append_text(self._box(box, grid.single, width + 2))
            yield line
        yield self._legend(grid)

    def _box(self, box: Mapping[str, int], single: bool, width: int) -> Text:
        text = Text()
        if single:
            for state in GLYPHS:
                glyph, style = self._glyph(state)
                text.append(glyph * box.get(state, 0), style=style)
        else:
            whole = box.get("done", 0) == sum(box.values())
            text.append(box_text(box, single) if box else "", style="green" if whole else "")
            if " x" in text.plain:
                text.stylize("bold red", text.plain.index(" x"))
        text.append(" " * (width - len(text.plain)))
        return text

    def _legend(self, grid: Grid) -> Text:
        seen = {state for row in grid.boxes for box in row for state in box}
        if grid.single:
            parts = [f"{self._glyph(state)[0]} {state}" for state in GLYPHS if state in seen]
        else:
            parts = ["done/all, x failed or damaged"]
        return Text("   ".join([*parts, *grid.notes]), style="dim")

    def _foot(self, board: Board) -> Iterator[Text]:
        for what, who in board.work[:AT_WORK]:
            yield Text.assemble(("at work  ", "cyan"), in_a_line(f"{what} on {who}"))
        if board.latest:
            yield Text(f"{'latest':60} {'source val.':>12} {'target':>8}", style="dim")
        for cell in board.latest[:RESULTS]:
            numbers = f"{_percent(cell.source):>12} {_percent(cell.target):>8}"
            yield Text(f"{in_a_line(cell.cell)[:60]:60} {numbers}  {duration(cell.ago)} ago")
        for failure in board.failures[:REASONS]:
            yield Text.assemble((f"{len(failure.cells)} x ", "bold red"), in_a_line(failure.reason))
            more = f" and {len(failure.cells) - 2} more" if len(failure.cells) > 2 else ""
            yield Text(f"    {in_a_line(', '.join(failure.cells[:2]))}{more}", style="dim")
        if len(board.failures) > REASONS:
            yield Text(f"and {len(board.failures) - REASONS} more reasons; quantdg status lists all", style="dim")
        for line in board.ignored[:IGNORED]:
            yield Text(in_a_line(line), style="yellow")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
