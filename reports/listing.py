"""Every table as it is asked for: in colours on a terminal, aligned text in a pipe, or as md, csv, latex or json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from ..core.errors import ConfigError
from ..core.text import in_a_line, say
from .answer.terminal import show
from .frames.trials import how_chosen
from .report import Report
from .tables.provenance import status_counts
from .tables.table import Table
from .text.formats import Form
from .verdict.sentences import rules_sentence, verdict_sentences

_BETWEEN = 3
"""Characters that a column takes beside its own."""


def print_table(table: Table, form: Form) -> None:
    """Print one table."""
    if form == "text":
        _print_text([table])
    else:
        say(_written(table, form).rstrip("\n"))


def print_tables(tables: Sequence[Table], form: Form) -> None:
    """Print several tables; csv and latex of a single one are as in `print_table`."""
    if len(tables) == 1:
        print_table(tables[0], form)
    elif form == "text":
        _print_text(tables)
    else:
        _print_several(tables, form)


def print_measured(report: Report, form: Form) -> None:
    """Print how many cells there are and every measured table but those that stand aside, which are named."""
    if form == "text":
        _print_text(report.listed, [status_counts(report.results)], report.left_out)
    elif form == "md":
        say(report.summary())
    else:
        _print_several(report.listed, form)


def print_verdict(report: Report, form: Form) -> None:
    """Print the verdict in sentences, and its tables."""
    if form == "md":
        say(report.words())
    elif form != "text":
        _print_several(report.judged, form)
    else:
        head = [
            status_counts(report.results),
            rules_sentence(report.verdict.rules),
            *how_chosen(report.results.trials),
        ]
        for heading, sentences in verdict_sentences(report.verdict):
            head += ["", heading, *(f"- {sentence}" for sentence in sentences)]
        _print_text(report.judged, head)


def _print_several(tables: Sequence[Table], form: Form) -> None:
    if form == "csv":
        names = ", ".join(table.name for table in tables)
        raise ConfigError(
            f"csv is the form of one table; write quantdg report RUNS --format csv --table NAME ({names})"
        )
    if form == "json":
        say(json.dumps({table.name: table.records() for table in tables}, indent=1, ensure_ascii=False))
    else:
        say("\n".join(_written(table, form) for table in tables))


def _written(table: Table, form: Form) -> str:
    if form == "json":
        return json.dumps(table.records(), indent=1, ensure_ascii=False)
    return {"md": table.markdown, "csv": table.csv, "latex": table.latex}[form]()


def _print_text(tables: Sequence[Table], before: Sequence[str] = (), after: Sequence[str] = ()) -> None:
    if not sys.stdout.isatty():
        head = ["\n".join(map(in_a_line, before))] if before else []
        parts = [*head, *(table.plain() for table in tables), *map(in_a_line, after)]
        say("\n\n".join(parts))
        return
    width = Console().width
    drawn = [part for table in tables for part in _drawn(table, width)]
    show(Group(*map(_line, before), *drawn, *map(_line, after)), width)


def _line(text: str, style: str = "") -> Text:
    return Text(in_a_line(text), style)


def _drawn(table: Table, width: int) -> Iterator[RenderableType]:
    """The title, the table in as many parts as the width asks for, each with the names of its rows, and the notes."""
    head, *rows = table.cells()
    yield from (_line(""), _line(table.title, "bold"))
    if not rows:
        yield _line("Nothing to show.")
    else:
        widths = [max(cell_len(row[i]) for row in (head, *rows)) + _BETWEEN for i in range(len(head))]
        for columns in column_parts(widths, table.labels, width):
            grid = Grid(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
            for i in columns:
                grid.add_column(_line(head[i]), justify="left" if i < table.labels else "right", overflow="fold")
            for row in rows:
                grid.add_row(*(_line(row[i]) for i in columns))
            yield grid
            yield _line("")
    yield from (_line(note, "dim") for note in table.notes)


def column_parts(widths: Sequence[int], labels: int, room: int) -> list[list[int]]:
    """Share columns out over parts that are no wider than ``room``, where that is possible.

    Args:
        widths: of each column.
        labels: the first so many stand in every part.
        room: characters.

    Returns:
        The columns of each part, by number.
    """
    names = list(range(min(labels, len(widths))))
    parts, used = [[*names]], sum(widths[i] for i in names)
    for i in range(len(names), len(widths)):
        if used + widths[i] > room and parts[-1] != names:
            parts.append([*names])
            used = sum(widths[j] for j in names)
        parts[-1].append(i)
        used += widths[i]
    return parts
