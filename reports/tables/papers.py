"""Accuracies that papers report, read from files.

The numbers are data: one CSV file a paper in `reports/published/`. Lines that start with ``#`` give the title of its
table, the source and notes; then come the columns of `PublishedAccuracy`. Another paper is another file.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from ...core.errors import DataError

SETTINGS = ("start", "granularity", "amplitude")
"""What a row of an ablation may fix: the share of the steps before the quantization step, the granularity of the weights where it
is not a scale a channel, the amplitude of uniform noise."""


class PublishedAccuracy(NamedTuple):
    """One number of a paper.

    Attributes:
        table: where the paper prints it, for example ``9``.
        dataset: the data set, compared without case and punctuation.
        target: the beginning of the target domain's name; empty for the mean over domains.
        model: the network, as the records name it.
        method: as the paper calls it.
        algorithm: as the records name it; empty for a method that no record has.
        quantizer: as the records name the counterpart of the paper's method.
        bits: as in the records' labels, for example ``W7``.
        selection: the rule that chose the checkpoint, or the weight average, as the records name it.
        setting: of an ablation, for example ``start=0.2``, one of `SETTINGS`; else empty.
        on: ``source`` for accuracy in the source domains, empty for the target.
        accuracy: percent.
        standard_error: in points; None where the paper gives none.
    """

    table: str
    dataset: str
    target: str
    model: str
    method: str
    algorithm: str
    quantizer: str
    bits: str
    selection: str
    setting: str
    on: str
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
            f"{name}.csv: a line has {len(PublishedAccuracy._fields)} values and its accuracy is a number, got {list(row.values())}"
        ) from problem
    if not 0 <= (numbers["accuracy"] or 0) <= 100:
        raise DataError(f"{name}.csv: accuracy must be from 0 to 100 percent, got {row['accuracy']}")
    if row["on"] not in ("", "source") or row["setting"].partition("=")[0] not in ("", *SETTINGS):
        raise DataError(
            f"{name}.csv: on is empty or source and setting is empty or one of {', '.join(SETTINGS)} with its value, got "
            f"{row['on']!r} and {row['setting']!r}"
        )
    return PublishedAccuracy(**{**row, **numbers})  # type: ignore[arg-type]


def papers() -> list[Paper]:
    """Return all papers whose numbers come with the package, by file name."""
    folder = files("quantdg.reports") / "published"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".csv")), key=lambda file: file.name)
    return [read_paper(file.name.removesuffix(".csv"), file.read_text(encoding="utf-8")) for file in found]
