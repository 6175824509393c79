"""Flatness by method, and whether it goes with the out-of-domain gap.

gap = mean source-validation accuracy - target accuracy, in points, of the weights that source validation selects
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from ..frames.columns import METHOD, ordered
from ..frames.flatness_rows import PLACES, SCALARS
from ..frames.results import Results
from ..frames.roles import Roles
from ..stats.correlation import DRAWS, FEWEST, Correlation, correlate
from ..stats.effect import Floats
from ..text.numbers import number_text
from .by_section import by_section
from .table import Table, traced

_NOTES = (
    "F(r): rise of the loss on random directions that move a parameter by r in root mean square.",
    "SAM(r): rise along the gradient over the length r.",
    "deployed: dequantized weights; latent: the weights before rounding are moved, then rounded.",
    "IIC = log R + log det K - log N: information criterion, R = |w - w_0|^2 / 2 from the first weights, N rows of K.",
    "Means over cells; source: training images of the source domains, each domain counting the same.",
)
_CORRELATION_NOTES = (
    "Gap: mean source-validation accuracy minus target accuracy, points. A positive r: sharper goes with a larger gap.",
    f"Correlations over at least {FEWEST} methods, means over seeds, within each target; averaged over targets.",
    f"p from {DRAWS} permutations of the methods, the same in every target; not corrected for the number of measures.",
    "A measure on the target describes the outcome: it uses the target's labels and can select nothing.",
)


def _arranged(numbers: pd.DataFrame) -> pd.DataFrame:
    """By weights, then measures as their formulas are read: F, SAM, curvature, tangent."""
    kinds = ["F", "SAM", *SCALARS]
    parts = numbers["measure"].str.extract(r"^([^(]*)(?:\((.*)\))?$")
    rank = pd.DataFrame({"kind": parts[0].map(kinds.index), "radius": parts[1].astype(float).fillna(0.0)})
    order = pd.concat([numbers[["weights"]], rank], axis=1).sort_values(["weights", "kind", "radius"], kind="stable")
    return numbers.loc[order.index].reset_index(drop=True)


def flatness_table(flatness: pd.DataFrame, name: str, title: str, roles: Roles) -> Table:
    """Make a line per method, weights and measure: its mean over the cells, on the sources and on the target.

    Args:
        flatness: columns key, METHOD and FLATNESS, of one section.
        name: file name of the table.
        title: heading of the table.
        roles: of the quantizers.
    """
    keys = [*METHOD, "weights", "measure"]
    places = flatness.groupby([*keys, "place"], sort=False)["value"].mean().unstack("place").reindex(columns=PLACES)
    cells = flatness.groupby(keys, sort=False)["key"].nunique().rename("n")
    shown = {place: f"on the {place}" for place in PLACES}
    numbers = ordered(_arranged(places.rename(columns=shown).join(cells).reset_index()), roles)
    text = pd.DataFrame({c: numbers[c].astype(str) for c in keys})
    for column in shown.values():
        text[column] = [number_text(float(v), ".4g") for v in numbers[column]]
    text["cells"] = numbers["n"].astype(str)
    behind = flatness.groupby(keys, sort=False)["key"].unique().loc[pd.MultiIndex.from_frame(numbers[keys])]
    return Table(
        name=name,
        title=title,
        text=text,
        numbers=numbers,
        labels=len(keys),
        notes=_NOTES,
        traces=traced("cells", behind),
    )


def correlation_table(flatness: pd.DataFrame, name: str, title: str) -> Table:
    """Make a line per measure with its correlation with the gap; the arguments are those of `flatness_table`."""
    rows = []
    for (weights, measure, place), found_here in flatness.groupby(["weights", "measure", "place"]):
        own = _complete(found_here[np.isfinite(found_here["value"])])
        found = correlate(_grid(own, "value"), _grid(own, "gap"))
        named = {"weights": weights, "measure": measure, "place": place}
        rows.append({**named, **vars(found), "cells": len(own), "keys": own["key"]})
    columns = ["weights", "measure", "place", *Correlation.__dataclass_fields__, "cells", "keys"]
    numbers = _arranged(pd.DataFrame(rows, columns=columns))
    behind = numbers.pop("keys")
    text = pd.DataFrame({c: numbers[c].astype(str) for c in ("weights", "measure", "place")})
    for name_, column in (("Spearman r", "spearman"), ("Pearson r", "pearson")):
        text[name_] = [number_text(float(v), "+.2f") for v in numbers[column]]
        text[f"{name_[:-2]} p"] = [number_text(float(v), ".4f") for v in numbers[f"{column}_p"]]
    for column in ("targets", "methods", "cells"):
        text[column] = numbers[column].astype(str)
    return Table(
        name=name,
        title=title,
        text=text,
        numbers=numbers,
        labels=3,
        notes=_CORRELATION_NOTES,
        traces=traced("cells", behind),
    )


def _complete(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the methods that are there for every target."""
    there = cells.groupby(METHOD)["target"].transform("nunique")
    return cells[there == cells["target"].nunique()]


def _grid(cells: pd.DataFrame, column: str) -> Floats:
    """Means over seeds, shape (targets, methods)."""
    means = cells.pivot_table(index="target", columns=METHOD, values=column, aggfunc="mean")
    return means.to_numpy(dtype=float)


def flatness_tables(results: Results) -> Iterator[Table]:
    """Make the table of flatness of each section."""
    make = partial(flatness_table, roles=results.roles)
    return by_section(results, results.flatness, "flatness", "Flatness", make=make)


def gap_tables(results: Results) -> Iterator[Table]:
    """Make the table of each section that correlates flatness with the out-of-domain gap."""
    title = "Flatness and the out-of-domain gap"
    return by_section(results, results.flatness, "flatness-gap", title, make=correlation_table)
