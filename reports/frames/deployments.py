"""Deployment records under the labels of a report, and accuracies as a runtime computed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment
from ...bench.results.record import HEADLINE
from ...core.errors import RecordError
from .columns import METHOD, SECTION, Section


def deployed_in(deployments: Iterable[Deployment], section: Section) -> list[Deployment]:
    """Return the deployments of one (data set, model, protocol)."""
    return [d for d in deployments if tuple(str(getattr(d.labels, c)) for c in SECTION) == section]


def with_labels(deployments: Iterable[Deployment], names: pd.DataFrame) -> tuple[Deployment, ...]:
    """Give deployments the labels that tell cells apart in this report.

    Args:
        deployments: under the labels that were stored.
        names: SECTION and METHOD columns by key.
    """
    known: dict[Any, Any] = names[[*SECTION, *METHOD]].to_dict("index")
    return tuple(replace(d, labels=replace(d.labels, **known.get(d.key, {}))) for d in deployments)


def recomputed(cells: pd.DataFrame, deployments: Iterable[Deployment], runtime: str) -> pd.DataFrame:
    """Replace the accuracies of source-validation selection by those that a runtime computed.

    Args:
        cells: columns of `quantdg.reports.frames.results.CELL`.
        deployments: must hold every done cell in this runtime.
        runtime: the name, for example ``openvino``.

    Raises:
        RecordError: some cell was not deployed, so that a table would mix two ways of computing.
    """
    made = recomputed_or_absent(cells, deployments, runtime)
    own = _recomputable(cells)
    missing = int(made.loc[own, "accuracy"].isna().sum())
    if missing:
        raise RecordError(
            f"accuracy from {runtime} needs every done cell deployed there, {missing} of {int(own.sum())} are not; "
            f"repeat the run with deploy=openvino deploy.runtimes=[{runtime}] deploy.cells=all"
        )
    return made


def recomputed_or_absent(cells: pd.DataFrame, deployments: Iterable[Deployment], runtime: str) -> pd.DataFrame:
    """Replace the same accuracies, by NaN where a cell was not deployed in that runtime."""
    known = {d.key: d.target_in for d in deployments if d.runtime == runtime and d.target_in is not None}
    own, cells = _recomputable(cells), cells.copy()
    cells.loc[own, "accuracy"] = cells.loc[own, "key"].map(known)
    return cells


def _recomputable(cells: pd.DataFrame) -> pd.Series[bool]:
    return (cells["selection"] == HEADLINE) & (cells["status"] == "done")
