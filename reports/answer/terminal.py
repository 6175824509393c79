"""The answer as a terminal shows it: at most 40 lines of at most 120 characters, the answer first."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...core.text import in_a_line
from ..frames.results import Results
from ..tables.provenance import status_counts
from ..text.numbers import number_text, points
from ..verdict.judge import Verdict
from .answer import QUESTION, Answer, Word, answer_of
from .matrix import MARKS, Entry, Matrix, gain_of, matrix_of

WIDTH = 120
ROWS = 20
"""Quantizers and controls in the matrix; of more, those with the largest and smallest gains are shown."""
COLUMNS = 3
STYLES: dict[Word, str] = {
    "yes": "bold black on green",
    "no": "bold white on red",
    "not shown": "bold black on yellow",
    "not decidable": "bold white on blue",
    "incomplete": "bold white on bright_black",
}


def summary(verdict: Verdict, results: Results) -> Group:
    """Return the answer, the matrix of gains and what has no result."""
    answer = answer_of(verdict, results)
    parts: list[RenderableType] = [*_card(answer)]
    if answer is not None:
        parts += _matrix(answer, matrix_of(answer.scope, results))
    return Group(*parts, *map(_line, _states(results)))


def card(verdict: Verdict, results: Results) -> Group:
    """Return the answer alone, in at most six lines of text."""
    return Group(*_card(answer_of(verdict, results)))


def show(shown: RenderableType, most: int = WIDTH) -> None:
    """Print to the standard output: in colours on a terminal, at most ``most`` wide, else as plain text 120 wide."""
    terminal = sys.stdout.isatty()
    console = Console(file=StringIO(), force_terminal=terminal, highlight=False)
    console.width = min(Console().width, most) if terminal else WIDTH
    with console.capture() as captured:
        console.print(shown)
    print("\n".join(line.rstrip() for line in captured.get().split("\n")), end="")


def _line(text: str, style: str = "") -> Text:
    return Text(in_a_line(text), style)


def _card(answer: Answer | None) -> Iterator[Text]:
    yield Text(QUESTION)
    if answer is None:
        yield Text("NO CELLS YET", "bold")
        return
    yield Text.assemble((f" {answer.word.upper()} ", STYLES[answer.word]), " ", answer.counts)
    yield from (_line(line) for line in (answer.sentence, answer.takes, answer.beyond, answer.controls) if line)


def _matrix(answer: Answer, found: Matrix) -> Iterator[RenderableType]:
    shown = found.algorithms[:COLUMNS]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("gain over float, points", no_wrap=True, overflow="ellipsis")
    for algorithm in shown:
        table.add_column(_line(algorithm), justify="right", no_wrap=True, overflow="ellipsis")
    table.add_row("float, accuracy in %", *(number_text(found.accuracy[a], ".1f") for a in shown), end_section=True)
    methods, controls = _chosen(found, answer.judged.algorithm)
    for i, name in enumerate(methods):
        table.add_row(
            _line(name), *(_text(found.methods[name].get(a)) for a in shown), end_section=i == len(methods) - 1
        )
    for name in controls:
        table.add_row(_line(f"control {name}"), *(_text(found.controls[name].get(a)) for a in shown))
    yield Text("")
    yield table
    further = {
        "rows": len(found.methods) + len(found.controls) - len(methods) - len(controls),
        "algorithms": len(found.algorithms) - len(shown),
    }
    more = ", ".join(f"{count} more {what}" for what, count in further.items() if count)
    yield _line(f"▲ gain  ▼ loss  ○ not shown  ? not decidable  … incomplete{f'; --full has {more}' if more else ''}")


def _chosen(found: Matrix, algorithm: str) -> tuple[list[str], list[str]]:
    """The rows that fit: all, or the controls and the quantizers with the largest and smallest gains."""
    controls = list(found.controls)[: ROWS // 3]
    room = ROWS - len(controls)
    if len(found.methods) <= room:
        return list(found.methods), controls
    ranked = sorted(found.methods, key=lambda name: -gain_of(found.methods[name], algorithm))
    kept = {*ranked[: room // 2], *ranked[-(room - room // 2) :]}
    return [name for name in found.methods if name in kept], controls


def _text(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if math.isnan(entry.mean):
        return f"{MARKS['incomplete']} "
    interval = "" if math.isnan(entry.low) else f" ({entry.low:+.1f} to {entry.high:+.1f})"
    return f"{points(entry.mean)}{interval} {MARKS.get(entry.answer, ' ')}"


def _states(results: Results) -> Iterator[str]:
    yield status_counts(results)
    cells = results.cells.drop_duplicates("key")
    without = cells[cells["status"] != "done"].groupby(["status", "reason"], sort=True)
    largest = sorted(without, key=lambda group: -len(group[1]))
    for (status, reason), group in largest[:3]:
        names = ", ".join(sorted(group["quantizer"].unique())[:4])
        line = f"{len(group)} {status} ({names}): {reason}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
