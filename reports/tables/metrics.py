"""Metrics of other packages: the mean of each over the cells of a method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ..frames.columns import METHOD
from ..frames.results import Results
from ..text.numbers import DASH
from .by_section import by_section
from .table import Table, traced

_NOTES = (
    "Means over the cells that have a result; (n of m) where only n of a method's m cells have a number.",
    "Each column is a metric of another package, one number a record.",
)


def metrics_table(metrics: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of one section: a line for each method, a column for each metric.

    Args:
        metrics: columns key, METHOD, ``metric`` and ``value``, in reading order.
        name: file name of the table.
        title: heading of the table.
    """
    groups = metrics.groupby([*METHOD, "metric"], sort=False)["value"]
    numbers = groups.agg(mean="mean", sd="std", n="count", cells="size").reset_index()
    kinds = sorted(metrics["metric"].unique())
    rows = [
        {
            **dict(zip(METHOD, method, strict=True)),
            **{line["metric"]: _shown(line) for line in own.to_dict("records")},
            "cells": str(own["cells"].iloc[0]),
        }
        for method, own in numbers.groupby(METHOD, sort=False)
    ]
    behind = metrics.groupby(METHOD, sort=False)["key"].unique()
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows, columns=[*METHOD, *kinds, "cells"]),
        numbers=numbers,
        labels=len(METHOD),
        notes=_NOTES,
        traces=traced("cells", behind),
    )


def _shown(line: dict[Any, Any]) -> str:
    if not line["n"]:
        return DASH
    return f"{line['mean']:.4g}" + ("" if line["n"] == line["cells"] else f" ({line['n']} of {line['cells']})")


def metrics_tables(results: Results) -> Iterator[Table]:
    """Make the table of metrics of each section."""
    return by_section(results, results.metrics, "metrics", "Metrics", make=metrics_table)
