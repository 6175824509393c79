"""Accuracies that papers report, beside what the records hold.

The numbers are data: one CSV file a paper in `reports/published/`. Lines that start with ``#`` give the title of its
table, the source and notes; then come the columns of `PublishedAccuracy`. Another paper is another file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

import pandas as pd

from ...bench.results.record import HEADLINE
from ...core.errors import DataError
from ..frames import gains
from ..frames.columns import Section
from ..frames.cube import Cube
from ..frames.results import Results
from ..text.numbers import DASH
from .table import Table, traced


class PublishedAccuracy(NamedTuple):
    """One number of a paper.

    Attributes:
        table: where the paper prints it, for example ``9, 10``.
        dataset: the data set, compared without case and punctuation.
        target: the beginning of the target domain's name; empty for the mean over domains.
        algorithm: as the records name it.
        quantizer: as the records name the counterpart of the paper's method.
        bits: as in the records' labels, for example ``W7``.
        accuracy: of the target, percent.
        standard_error: in points; None where the paper gives none.
    """

    table: str
    dataset: str
    target: str
    algorithm: str
    quantizer: str
    bits: str
    accuracy: float
    standard_error: float | None = None


@dataclass(frozen=True)
class Paper:
    """What one paper reports.

    Attributes:
        name: of the file, without its ending.
        title: of the table.
        source: authors, venue and number.
        notes: what the reader must know, one sentence each.
        accuracies: in the paper's order.
    """

    name: str
    title: str
    source: str
    notes: tuple[str, ...]
    accuracies: tuple[PublishedAccuracy, ...]


def read_paper(name: str, text: str) -> Paper:
    """Read the text of one file.

    Args:
        name: of the file, without its ending.
        text: comment lines ``# title: ...``, ``# source: ...`` and ``# note: ...``, then CSV with a heading.

    Raises:
        DataError: a title or source is missing, the columns are others, or an accuracy is not from 0 to 100.
    """
    lines = text.splitlines()
    said = [line.lstrip("# ").partition(": ") for line in lines if line.startswith("#")]
    found = {key: value for key, _, value in said if key != "note"}
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    if not {"title", "source"} <= found.keys():
        raise DataError(f"{name}.csv must begin with the lines '# title: ...' and '# source: ...', got {sorted(found)}")
    if tuple(rows.fieldnames or ()) != PublishedAccuracy._fields:
        raise DataError(
            f"{name}.csv must have the columns {','.join(PublishedAccuracy._fields)}, got {rows.fieldnames}"
        )
    notes = tuple(value for key, _, value in said if key == "note")
    accuracies = tuple(_accuracy(name, row) for row in rows)
    return Paper(name=name, title=found["title"], source=found["source"], notes=notes, accuracies=accuracies)


def _accuracy(name: str, row: dict[str, str]) -> PublishedAccuracy:
    try:
        error = row["standard_error"]
        numbers = {"accuracy": float(row["accuracy"]), "standard_error": float(error) if error else None}
        if len(row) > len(PublishedAccuracy._fields):
            raise ValueError("a line is too long")
    except (ValueError, TypeError) as problem:
        raise DataError(
            f"{name}.csv: a line has eight values and its accuracy is a number, got {list(row.values())}"
        ) from problem
    if not 0 <= (numbers["accuracy"] or 0) <= 100:
        raise DataError(f"{name}.csv: accuracy must be from 0 to 100 percent, got {row['accuracy']}")
    return PublishedAccuracy(**{**row, **numbers})  # type: ignore[arg-type]


def papers() -> list[Paper]:
    """Return all papers whose numbers come with the package, by file name."""
    folder = files("quantdg.reports") / "published"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".csv")), key=lambda file: file.name)
    return [read_paper(file.name.removesuffix(".csv"), file.read_text(encoding="utf-8")) for file in found]


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _measured(row: PublishedAccuracy, cube: Cube) -> tuple[str, tuple[str, ...]]:
    """The number, empty where a cell is missing, and the keys behind it."""
    method = (row.algorithm, row.quantizer, row.bits, HEADLINE)
    if method not in cube.methods:
        return "", ()
    i = cube.methods.index(method)
    values, keys = cube.accuracy[i], cube.keys[i]
    if row.target:
        at = [i for i, name in enumerate(cube.targets) if _plain(name).startswith(_plain(row.target))]
        if len(at) != 1:
            return "", ()
        values, keys = values[at], keys[at]
    mean = float(values.mean())  # NaN as soon as one cell is missing
    if math.isnan(mean):
        return "", ()
    se = gains.standard_error(values.mean(axis=0))
    return f"{mean:.1f}" if math.isnan(se) else f"{mean:.1f} ± {se:.1f}", tuple(map(str, keys.ravel()))


def published_table(paper: Paper, cubes: Collection[tuple[Section, Cube]]) -> Table:
    """Put one paper's numbers and the measured ones (source-validation selection) side by side."""
    text, numbers, behind = [], [], []
    for row in paper.accuracies:
        here = [(s, *_measured(row, cube)) for s, cube in cubes if _plain(s[0]) == _plain(row.dataset)]
        found = "; ".join(f"{value} ({s[1]}, {s[2]})" for s, value, _ in here if value)
        behind.append([key for _, _, keys in here for key in keys])
        error = "" if row.standard_error is None else f" ± {row.standard_error:.1f}"
        reported = f"{row.accuracy:.1f}{error}"
        text.append((row.table, row.dataset, row.target or "mean", row.quantizer, row.bits, reported, found or DASH))
        numbers.append((*row, found))
    columns = ["table", "data set", "target", "quantizer", "bits", "reported", "measured"]
    return Table(
        name=f"published-{paper.name}",
        title=paper.title,
        text=pd.DataFrame(text, columns=columns),
        numbers=pd.DataFrame(numbers, columns=[*PublishedAccuracy._fields, "measured"]),
        labels=5,
        notes=paper.notes,
        traces=traced("measured", behind),
    )


def published_tables(results: Results) -> list[Table]:
    """Make one table a paper."""
    return [published_table(paper, results.cubes.items()) for paper in papers()]
