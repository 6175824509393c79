"""A comparison in at most 40 lines of at most 120 characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from ...bench.results.record import HEADLINE
from ...core.text import in_a_line
from ..answer.terminal import WIDTH
from ..frames.cube import method_label
from ..tables.table import Table
from ..text.numbers import interval_text, number_text, points
from .pairs import Comparison, Difference
from .tables import answer_words, mean_difference

ROWS, SETTINGS, ALONE = 18, 6, 2
"""Most lines of the table, of settings, and of what one folder alone has."""


def comparison_summary(found: Comparison, heads: Sequence[str]) -> Group:
    """Return the folders, what differs in how they were made, and the differences of the primary selection.

    Args:
        found: the comparison.
        heads: a line about each folder.
    """
    parts: list[RenderableType] = [_line(f"{name}: {head}") for name, head in zip("AB", heads, strict=True)]
    changed = [f"{path}: {a} in A, {b} in B" for path, a, b in (*found.settings, *found.made_with)]
    parts += _few(changed, "settings, versions and machines that differ", SETTINGS)
    for name, own in zip("AB", found.alone, strict=True):
        parts += _few([f"only in {name}: {what}" for what in own], f"things only {name} has", ALONE)
    shown = [d for d in found.differences if d.method[3] == HEADLINE] or list(found.differences)
    parts += [Text(""), _grid(shown[:ROWS])] if shown else [_line("No row is in both folders.")]
    more = len(found.differences) - min(len(shown), ROWS)
    if more:
        parts.append(_line(f"{more} more rows, of other selections too: --full"))
    if shown:
        said = "B - A: points, paired by domain and seed; interval over domains; answer: sign-flip test with Holm"
        parts.append(_line(f"{said}, level {found.rules.alpha:g}"))
    return Group(*parts)


def _line(text: str) -> Text:
    shown = in_a_line(text)
    return Text(shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…")


def _few(lines: Sequence[str], what: str, most: int) -> Iterator[Text]:
    """The first lines, and how many more there are."""
    shown = lines if len(lines) <= most else lines[: most - 1]
    yield from map(_line, shown)
    if len(lines) > len(shown):
        yield _line(f"{len(lines) - len(shown)} more {what}: --full")


def _empty(columns: Iterable[object], labels: int) -> Grid:
    """A grid without rows; the first ``labels`` columns hold names, the others numbers."""
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, name in enumerate(columns):
        grid.add_column(str(name), justify="left" if i < labels else "right", no_wrap=True, overflow="ellipsis")
    return grid


def _grid(rows: Sequence[Difference]) -> Grid:
    grid = _empty(("data set", "method", "A, %", "B, %", "B - A", "interval", "answer", "domains x seeds", "equal"), 2)
    for d in rows:
        mean, low, high = mean_difference(d)
        a, b = (float(np.nanmean(values)) for values in (d.first, d.second))
        answer = answer_words(d)
        numbers = (number_text(a, ".1f"), number_text(b, ".1f"), points(mean), interval_text(low, high), answer)
        counts = (f"{len(d.targets)} x {len(d.seeds)}", f"{d.equal}/{d.pairs}")
        grid.add_row(_line(d.sections[0][0]), _line(method_label(d.method)), *numbers, *counts)
    return grid


def paper_summary(table: Table, head: str) -> Group:
    """Return the rows of a paper that have a counterpart, with how many there are in all.

    Args:
        table: as of `quantdg.reports.compare.papers.paper_table`.
        head: a line about the folder.
    """
    parts: list[RenderableType] = [_line(head), Text(""), _line(table.title)]
    grid = _empty(table.text.columns, table.labels)
    rows = table.cells()[1:]
    for row in rows[:ROWS]:
        grid.add_row(*map(_line, row))
    parts += [grid] if rows else [_line("The folder has no counterpart of any row of the paper.")]
    if len(rows) > ROWS:
        parts.append(_line(f"{len(rows) - ROWS} more rows: --full"))
    own = table.notes[:2]
    further = len(table.notes) - len(own)
    return Group(*parts, *map(_line, own), *([_line(f"{further} more notes: --full")] if further else []))
