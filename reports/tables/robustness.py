"""Relative robustness: what a quantizer loses of float's accuracy, at home and abroad, and the gap between both.

    delta(D) = (A_f(D) - A_q(D)) / A_f(D)   on domain D, against float with the same algorithm, target and seed
    RSG = (A_N - A_C) / A_N                 the relative gap of one model
    Vuln_add = delta(C) - delta(N)          what quantization loses abroad beyond what it loses at home

From a study of quantized vision-language models (arXiv 2509.21173), where C is a set with spurious cues taken away. Our
choice: N is validation on the source domains, C the held-out domain, both of the weights that source validation selects.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from ...bench.results.record import HEADLINE
from ..frames.columns import FLOAT, METHOD, SECTION, ordered
from ..frames.results import Results
from ..frames.roles import Roles
from ..text.numbers import number_text
from .by_section import by_section
from .table import Table, traced

_PAIR = ["algorithm", "target", "seed"]
_NOTES = (
    "RSG: (A_N - A_C) / A_N, N source validation, C the target domain: the relative gap of one model.",
    "Delta: relative loss of accuracy against float with the same algorithm, target and seed.",
    "Vuln_add: delta on the target minus delta on the sources, in the same cell.",
    "Means over cells, of the weights that source validation selects. Below 0: the quantized model is the better one.",
)


def relative_loss(before: pd.Series[float], after: pd.Series[float]) -> pd.Series[float]:
    """Compute (before - after) / before; NaN where ``before`` is 0 or one of them is missing."""
    return (before - after) / before.where(before > 0)


def robustness(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row a cell: its labels, ``rsg``, and against float ``sources``, ``target_loss`` and ``vulnerability``.

    Args:
        cells: of one section and selection rule: METHOD, target, seed, key, ``accuracy`` and ``source``, shares or NaN.
    """
    reference = cells[cells["quantizer"] == FLOAT]
    floats = reference[[*_PAIR, "accuracy", "source"]].rename(
        columns={"accuracy": "float_target", "source": "float_source"}
    )
    out = cells[[*METHOD, "target", "seed", "key", "accuracy", "source"]].merge(floats, on=_PAIR, how="left")
    out["rsg"] = relative_loss(out["source"], out["accuracy"])
    own = out["quantizer"] != FLOAT
    out["sources"] = relative_loss(out["float_source"], out["source"]).where(own)
    out["target_loss"] = relative_loss(out["float_target"], out["accuracy"]).where(own)
    out["vulnerability"] = out["target_loss"] - out["sources"]
    return out


def robustness_table(cells: pd.DataFrame, name: str, title: str, roles: Roles) -> Table:
    """Make a line a method: the gap of its models, its losses against float on the sources and each target, Vuln_add.

    Args:
        cells: as for `robustness`.
        name: file name of the table.
        title: heading of the table.
        roles: of the quantizers.
    """
    rows = robustness(cells)
    groups = rows.groupby(METHOD, sort=False)
    means = groups[["rsg", "sources", "target_loss", "vulnerability"]].mean()
    domains = rows.groupby([*METHOD, "target"], sort=False)["target_loss"].mean().unstack("target").sort_index(axis=1)
    domains.columns = [f"delta {target}" for target in domains.columns]
    counts = pd.DataFrame({"cells": groups["rsg"].count(), "pairs": groups["vulnerability"].count()})
    names = {"rsg": "RSG", "sources": "delta sources", "target_loss": "delta targets", "vulnerability": "Vuln_add"}
    shown = means.rename(columns=names).join(domains)
    numbers = ordered(shown.join(counts).reset_index(), roles)
    text = pd.DataFrame({c: numbers[c].astype(str) for c in METHOD})
    for column in ("RSG", "Vuln_add", "delta sources", "delta targets", *domains.columns):
        text[column] = [number_text(float(v), ".2%") for v in numbers[column]]
    text["cells"], text["pairs"] = numbers["cells"].astype(str), numbers["pairs"].astype(str)
    behind = groups["key"].unique().loc[pd.MultiIndex.from_frame(numbers[METHOD])]
    return Table(
        name=name, title=title, text=text, numbers=numbers, labels=3, notes=_NOTES, traces=traced("cells", behind)
    )


def robustness_tables(results: Results) -> Iterator[Table]:
    """Make the table of each section in which a quantizer has a result."""
    cells = results.cells[(results.cells["selection"] == HEADLINE) & results.cells["accuracy"].notna()]
    cells = cells.groupby(SECTION).filter(lambda own: bool((own["quantizer"] != FLOAT).any()))
    make = partial(robustness_table, roles=results.roles)
    return by_section(results, cells, "robustness", "Relative robustness", make=make)
