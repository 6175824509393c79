"""Every cell that has no result, with its reason: recorded ones, absent ones, and files that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import pandas as pd

from ..frames.columns import METHOD, SECTION, ordered
from ..frames.results import Results
from ..frames.roles import base_name
from ..plugins import Problem
from .table import Table, traced

_CELL = [*SECTION, *METHOD, "target", "seed"]
_PATH = ["dataset", "target", "seed", "algorithm", "quantizer", "bits"]
_SHOWN = 3


def absent(cells: pd.DataFrame) -> pd.DataFrame:
    """List the cells of one section's grid (its methods x targets x seeds) without a record."""
    methods = cells[[*SECTION, *METHOD]].drop_duplicates()
    grid = pd.DataFrame(product(sorted(cells["target"].unique()), sorted(cells["seed"].unique())))
    grid.columns = pd.Index(["target", "seed"])
    wanted = methods.merge(grid, how="cross")
    found = wanted.merge(cells[_CELL].drop_duplicates(), on=_CELL, how="left", indicator=True)
    out = found[found["_merge"] == "left_only"].drop(columns="_merge")
    return out.assign(status="missing", reason="no record in this folder", key="")


def cell_path(row: Iterable[object]) -> str:
    """Join the columns `_PATH` to what ``quantdg show RUNS/...`` and ``--force`` take; settings in a label are dropped."""
    return "/".join(base_name(str(part)) for part in row)


def _listed(values: pd.Series[str]) -> str:
    names = [str(v) for v in values.drop_duplicates()]
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def failures_tables(results: Results) -> list[Table]:
    """Make the table of cells without a result, where there are any."""
    table = failures_table(results)
    return [table] if len(table.text) else []


def failures_table(results: Results) -> Table:
    """Make one table of all sections; its text groups cells of one method that share status and reason."""
    cells = results.cells[results.cells["status"] != "done"]
    columns = [*_CELL, "status", "reason", "key"]
    parts = [cells[columns].drop_duplicates("key")]
    parts += [absent(section)[columns] for _, section in results.sections()]
    numbers = ordered(pd.concat(parts, ignore_index=True), results.roles)
    group = [*SECTION, *METHOD, "status", "reason"]
    where = pd.Series([cell_path(row) for row in numbers[_PATH].itertuples(index=False)], numbers.index, dtype=str)
    groups = where.groupby([numbers[c] for c in group], sort=False)
    rows = [
        {**dict(zip(group, map(str, names), strict=True)), "cells": str(len(at)), "which": _listed(at)}
        for names, at in groups
    ]
    behind = traced("cells", (filter(None, numbers.loc[at.index, "key"]) for _, at in groups))
    text = pd.DataFrame(rows, columns=[*group, "cells", "which"])
    return Table(
        name="failures",
        title="Cells without a result",
        text=text,
        numbers=numbers,
        labels=len(group),
        traces=behind,
    )


def problems_table(files: Sequence[Problem], parts: Sequence[Problem] = ()) -> Table:
    """Make the table of what could not be used.

    Args:
        files: of the run folder that were skipped, each with the reason.
        parts: of the report that failed: tables, figures and metrics, each with the reason.
    """
    frame = pd.DataFrame([*files, *parts], columns=["file", "reason"])
    what = "Files and parts of the report" if parts else "Files"
    return Table(
        name="problems",
        title=f"{what} that could not be used",
        text=frame,
        numbers=frame,
        labels=2,
    )
