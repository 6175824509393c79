"""A table once as text for people and once as numbers for machines; written as text, Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from tabulate import tabulate

from ..frames.columns import Section
from ..text import escape
from ..text.numbers import DASH

Traces = Mapping[tuple[int, str], tuple[str, ...]]
_BEYOND_ASCII = str.maketrans({"|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", DASH: "---"})
_NOT_LATIN = re.compile(r"[^\x00-\x7fÀ-ÏÑ-ÝßÀà-ïñ-ýÿ–…]")
"""What pdflatex has no letter for in its default encoding, or not in every one; such as the Icelandic ones."""
_MINUS = re.compile(r"(?<= )-(?=\d)")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the report.

    Attributes:
        name: file name without ending, unique in a report.
        title: heading; plain text, escaped on output.
        text: what people read, strings only; the first ``labels`` columns are names, the rest values.
        numbers: what machines read: means, standard errors and counts, in the same order.
        notes: what the reader must know, one sentence each; plain text.
        traces: (row, column) -> what this number of ``text`` comes from: keys of records, or files of the run folder.
            Where one column has them, they are those of the whole row.
        aside: why it is left out where all tables are listed, empty for none that is; files and page have every table.
        section: the (data set, model, protocol) it stands with; ACROSS: before all sections; None: after them.
    """

    name: str
    title: str
    text: pd.DataFrame
    numbers: pd.DataFrame
    labels: int = 1
    notes: tuple[str, ...] = ()
    traces: Traces = field(default_factory=dict)
    section: Section | None = None
    aside: str = ""

    def _body(self, form: str, escaped: list[list[str]]) -> str:
        align = ["left"] * self.labels + ["right"] * (self.text.shape[1] - self.labels)
        return tabulate(escaped[1:], headers=escaped[0], tablefmt=form, disable_numparse=True, colalign=align)

    def _cells(self) -> list[list[str]]:
        return [[str(c) for c in self.text.columns], *([str(v) for v in row] for row in self.text.to_numpy().tolist())]

    def markdown(self, level: int = 3) -> str:
        """Write heading, GitHub table and notes."""
        return f"{'#' * level} {escape.markdown(self.title)}\n\n{self._markdown_body}"

    @cached_property
    def _markdown_body(self) -> str:
        cells = [[escape.markdown(v) for v in row] for row in self._cells()]
        body = self._body("pipe", cells) if len(cells) > 1 else "Nothing to show."
        notes = "\n".join(f"- {escape.markdown(note)}" for note in self.notes)
        return f"{body}\n" + (f"\n{notes}\n" if notes else "")

    def plain(self) -> str:
        """Write title, aligned columns and notes, for a pipe or a file of text."""
        cells = self.cells()
        body = self._body("simple", cells) if len(cells) > 1 else "Nothing to show."
        lines = "\n".join(line.rstrip() for line in body.splitlines())
        return "\n\n".join(
            [escape.clean(self.title), lines, *(["\n".join(map(escape.clean, self.notes))] if self.notes else [])]
        )

    def cells(self) -> list[list[str]]:
        """Return the heading and each row of the text, every value one line without control characters."""
        return [[escape.clean(v) for v in row] for row in self._cells()]

    def records(self) -> list[dict[str, Any]]:
        """Return the numbers as one dictionary a row, as JSON has them: numbers as numbers, None where there is none."""
        names = [str(c) for c in self.numbers.columns]
        rows = self.numbers.astype(object).to_numpy().tolist()
        return [dict(zip(names, map(_json_value, row), strict=True)) for row in rows]

    def csv(self) -> str:
        """Write the numbers at full precision, empty where there is none."""
        return self._csv

    def latex(self) -> str:
        """Write a booktabs ``tabular`` for a paper to input; title and notes are comments.

        Letters that pdflatex lacks, such as Chinese ones in names, are written as their code point: ``[U+6F22]``.
        """
        return self._latex

    @cached_property
    def _csv(self) -> str:
        safe = self.numbers.apply(lambda own: own if is_numeric_dtype(own) else own.map(escape.csv_cell))
        safe.columns = pd.Index([escape.csv_cell(str(c)) for c in safe.columns])
        return str(safe.to_csv(index=False, lineterminator="\n"))

    @cached_property
    def _latex(self) -> str:
        comments = "".join(f"% {escape.clean(line)}\n" for line in (self.title, *self.notes))
        body = self._body("latex_booktabs", self.cells()).translate(_BEYOND_ASCII)
        named = _NOT_LATIN.sub(lambda found: f"[U+{ord(found[0]):04X}]", body)
        return comments + _MINUS.sub("$-$", named) + "\n"


def _json_value(value: object) -> object:
    """A value of a frame as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, (bool, int, float)) else str(value)


def traced(column: str, keys: Iterable[Iterable[str]]) -> Traces:
    """Make the traces of one column from what is behind each of its rows; a row with nothing behind it has none."""
    return {(i, column): found for i, own in enumerate(keys) if (found := tuple(sorted(set(own))))}
