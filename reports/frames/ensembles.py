"""Ensembles of seeds as rows: one for each row and target domain, of the seeds that most of its section have."""

from __future__ import annotations

from collections.abc import Collection
from statistics import fmean
from typing import Any

import pandas as pd

from ...bench.results.ensemble import EnsembleRecord
from .columns import SECTION

ENSEMBLE, SINGLE = "ensemble", "single"
"""Names of the two accuracies: of the ensemble, and the mean of its members' own."""
ENSEMBLES = ["target", "seeds", "members", ENSEMBLE, SINGLE, "bytes", "float_bytes"]


def ensemble_row(one: EnsembleRecord, target: str) -> dict[str, Any]:
    """Make a row with ENSEMBLES and ``key``, the first member's; accuracies from 0 to 1."""
    return {
        "key": one.members[0],
        "target": target,
        "seeds": one.seeds,
        "members": one.members,
        ENSEMBLE: one.accuracy,
        SINGLE: fmean(one.single),
        "bytes": one.bytes,
        "float_bytes": one.float_bytes,
    }


def of_equal_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep in each section the ensembles of one choice of seeds, the largest: others would not be comparable."""
    kept = [part[part["seeds"] == max(part["seeds"], key=_size)] for _, part in rows.groupby(SECTION, sort=False)]
    return pd.concat(kept).reset_index(drop=True) if kept else rows


def _size(seeds: Collection[int]) -> tuple[int, list[int]]:
    return len(seeds), [*seeds]


def as_cells(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return cells with the accuracies of ensembles: rows of the selections `ENSEMBLE` and `SINGLE`.

    Args:
        rows: as of `ensemble_row`.
        cells: columns of `quantdg.reports.frames.results.CELL`, one row for each key.
    """
    own = cells.merge(rows[["key", ENSEMBLE, SINGLE]], on="key")
    return pd.concat([own.assign(selection=name, accuracy=own[name]) for name in (ENSEMBLE, SINGLE)], ignore_index=True)
