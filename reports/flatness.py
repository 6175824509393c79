r"""Flatness by method, and whether it goes with the out-of-domain gap.

    gap = mean source-validation accuracy - target accuracy, in points, of the weights that source validation selects
    r = mean over targets of the correlation, over the cells of one target, of a measure with the gap

Taking targets apart matters: a hard target has a large gap and a sharp loss whatever the method, which correlates them
without any method doing anything. The p-value is two-sided, from permutations of the gaps within targets:
(1 + number of permutations with a mean correlation at least as far from 0) / (1 + permutations).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdg.bench.records import Record
from quantdg.reports.accuracy import EMPTY
from quantdg.reports.cube import Floats
from quantdg.reports.order import METHOD, PRIMARY, ordered
from quantdg.reports.stats.ranking import ranks
from quantdg.reports.tables import Table, traced

FLATNESS = ["target", "weights", "measure", "place", "value", "gap"]
FEWEST, DRAWS = 4, 2000
_PLACES = ("source", "target")
_SCALARS = {"trace": ("trace", "mean"), "top": ("top eigenvalue", "value"), "tangent": ("log det K", "value")}
_NOTES = (
    "F(r): rise of the loss on random directions that move a parameter by r in root mean square.",
    "SAM(r): rise along the gradient over the length r.",
    "deployed: dequantized weights; latent: the weights before rounding are moved, then rounded.",
    "Means over cells; source: training images of the source domains, each domain counting the same.",
)
_CORRELATION_NOTES = (
    "Gap: mean source-validation accuracy minus target accuracy, points. A positive r: sharper goes with a larger gap.",
    f"Correlations within each target with at least {FEWEST} cells, averaged over targets.",
    f"p from {DRAWS} permutations within targets, not corrected for the number of measures.",
    "Cells that share a seed share their float phase; where seeds differ much, p is too small.",
    "A measure on the target describes the outcome: it uses the target's labels and can select nothing.",
)


def flatness_rows(record: Record) -> list[dict[str, Any]]:
    """One row for each measure of a record: columns key and FLATNESS; nothing where none was taken."""
    row = record.rows.get(PRIMARY)
    found = record.flatness
    if row is None or not found or not row.source_out:
        return []
    gap = 100 * (sum(row.source_out.values()) / len(row.source_out) - row.target_in)
    known = {"key": record.key, "target": str(record.labels.target), "gap": gap}
    return [
        {**known, "weights": weights, "measure": measure, "place": place, "value": float(value)}
        for weights in ("deployed", "latent")
        if weights in found
        for measure, place, value in _values(found[weights], found["settings"])
        if value is not None
    ]


def _values(found: dict[str, Any], settings: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for place in _PLACES:
        for radius, value in zip(settings["radii"], found[f"local_{place}"], strict=True):
            yield f"F({float(radius):g})", place, value
        for radius, value in zip(settings["rhos"], found.get(f"sam_{place}", ()), strict=False):
            yield f"SAM({float(radius):g})", place, value
        for key, (name, field) in _SCALARS.items():
            if f"{key}_{place}" in found:
                yield name, place, found[f"{key}_{place}"][field]


def _arranged(numbers: pd.DataFrame) -> pd.DataFrame:
    """By method where there is one, weights, then measures as their formulas are read: F, SAM, curvature, tangent."""
    kinds = ["F", "SAM", *(name for name, _ in _SCALARS.values())]
    parts = numbers["measure"].str.extract(r"^([^(]*)(?:\((.*)\))?$")
    rank = pd.DataFrame({"kind": parts[0].map(kinds.index), "radius": parts[1].astype(float).fillna(0.0)})
    order = pd.concat([numbers[["weights"]], rank], axis=1).sort_values(["weights", "kind", "radius"], kind="stable")
    return ordered(numbers.loc[order.index])


def _number(value: float) -> str:
    return EMPTY if not math.isfinite(value) else format(value, ".4g")


def flatness_table(flatness: pd.DataFrame, name: str, title: str) -> Table:
    """One line per method, weights and measure: its mean over the cells, on the sources and on the target.

    Args:
        flatness: columns key, METHOD and FLATNESS, of one section.
        name, title: of the table.
    """
    keys = [*METHOD, "weights", "measure"]
    places = flatness.groupby([*keys, "place"], sort=False)["value"].mean().unstack("place").reindex(columns=_PLACES)
    cells = flatness.groupby(keys, sort=False)["key"].nunique().rename("n")
    shown = {place: f"on the {place}" for place in _PLACES}
    numbers = _arranged(places.rename(columns=shown).join(cells).reset_index())
    text = pd.DataFrame({c: numbers[c].astype(str) for c in keys})
    for column in shown.values():
        text[column] = numbers[column].map(_number)
    text["cells"] = numbers["n"].astype(str)
    behind = flatness.groupby(keys, sort=False)["key"].unique().loc[pd.MultiIndex.from_frame(numbers[keys])]
    return Table(name, title, text, numbers, len(keys), _NOTES, traced("cells", behind))


@dataclass(frozen=True)
class Correlation:
    """Correlation of a measure with the gap, averaged over strata.

    Attributes:
        spearman, pearson: -1 to 1; NaN where no stratum could be used.
        spearman_p, pearson_p: two-sided permutation p-values.
        strata, cells: how many were used.
    """

    spearman: float
    spearman_p: float
    pearson: float
    pearson_p: float
    strata: int
    cells: int


def correlate(values: Floats, gaps: Floats, strata: NDArray[Any], draws: int = DRAWS, seed: int = 0) -> Correlation:
    """Stratified correlation of two vectors.

    Args:
        values, gaps: shape (cells,), finite.
        strata: a label for each cell; strata with fewer than FEWEST cells, or where one of the two does not vary,
            are left out.
        draws: permutations, >= 1.
        seed: of the permutations; the same for both coefficients.
    """
    groups = [(values[strata == s], gaps[strata == s]) for s in np.unique(strata)]
    groups = [(x, y) for x, y in groups if len(x) >= FEWEST and np.ptp(x) > 0 and np.ptp(y) > 0]
    count = sum(len(x) for x, _ in groups)
    if not groups:
        return Correlation(math.nan, math.nan, math.nan, math.nan, 0, 0)
    ranked = [(ranks(x), ranks(y)) for x, y in groups]
    return Correlation(*_permuted(ranked, draws, seed), *_permuted(groups, draws, seed), len(groups), count)


def _permuted(groups: list[tuple[Floats, Floats]], draws: int, seed: int) -> tuple[float, float]:
    """Mean correlation over groups and its p-value."""
    generator = np.random.default_rng(seed)
    observed, null = 0.0, np.zeros(draws)
    for x, y in groups:
        a, b = _standard(x), _standard(y)
        observed += float(a @ b) / len(groups)
        null += generator.permuted(np.tile(b, (draws, 1)), axis=1) @ a / len(groups)
    extreme = int((np.abs(null) >= abs(observed) - 1e-12).sum())
    return observed, (1 + extreme) / (1 + draws)


def _standard(x: Floats) -> Floats:
    centred = x - x.mean()
    return np.asarray(centred / np.sqrt(centred @ centred))


def correlation_table(flatness: pd.DataFrame, name: str, title: str) -> Table:
    """One line per measure: its correlation with the gap; arguments as `flatness_table`."""
    rows = []
    for (weights, measure, place), own in flatness.groupby(["weights", "measure", "place"]):
        finite = own[np.isfinite(own["value"])].sort_values(["target", "key"])
        finite = finite.groupby("target").filter(lambda cells: len(cells) >= FEWEST)
        found = correlate(
            finite["value"].to_numpy(dtype=float), finite["gap"].to_numpy(dtype=float), finite["target"].to_numpy()
        )
        rows.append({"weights": weights, "measure": measure, "place": place, **vars(found), "keys": finite["key"]})
    columns = ["weights", "measure", "place", *Correlation.__dataclass_fields__, "keys"]
    numbers = _arranged(pd.DataFrame(rows, columns=columns))
    behind = numbers.pop("keys")
    text = pd.DataFrame({c: numbers[c].astype(str) for c in ("weights", "measure", "place")})
    for name_, column in (("Spearman r", "spearman"), ("Pearson r", "pearson")):
        text[name_] = numbers[column].map(lambda v: EMPTY if math.isnan(v) else f"{v:+.2f}")
        text[f"{name_[:-2]} p"] = numbers[f"{column}_p"].map(lambda v: EMPTY if math.isnan(v) else f"{v:.4f}")
    text["targets"], text["cells"] = numbers["strata"].astype(str), numbers["cells"].astype(str)
    return Table(name, title, text, numbers, 3, _CORRELATION_NOTES, traced("cells", behind))
