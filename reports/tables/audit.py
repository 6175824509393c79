"""Evidence that each quantizer did something: levels in use, noise, movement, coverage."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from ..frames.columns import METHOD, ordered
from ..frames.record_rows import OWN
from ..frames.results import Results
from ..frames.roles import Roles
from ..text.numbers import DASH, number_text
from .by_section import by_section
from .table import Table, traced

_VALUES = ["levels", "noise", "saturation", "moved", "scale_moved", "grid_distance", "oscillation", "dead"]
_BOUNDS = {"noise": ("noise / signal", 0.1), "saturation": ("a share saturated of", 0.05)}
TIMES_OTHERS = 4
"""A layer gets a warning where it is above its bound and so many times the median of the others in its cell."""
_NOTES = (
    "Medians over sites, then over cells.",
    "Noise / signal: std(w_q - w) / std(w) of the latent weights; compare methods by it, not by bits.",
    "Weight moved: relative change since the quantizer was inserted; sites moved counts the sites of all cells.",
    f"Scale moved: largest relative change of a learned scale; {DASH}: none is learned.",
    f"Grid distance: mean |v - round(v)| of v = w / s + z, 0.25 where weights lie anywhere; {DASH}: the grid is not uniform.",
    f"Oscillating: weights whose code turns back in a step, over the last 50 steps; {DASH}: not measured.",
    f"Dead: weights inside the grid that get no gradient; {DASH}: the method leaves none without.",
    "Coverage: quantized weights of all that are multiplied with.",
    "Worst noise, worst saturated: of the worst layer of the worst cell.",
)
_OUTPUTS = ["outputs", "float_outputs"]
_OUTPUTS_NOTE = (
    "Outputs: quantized outputs of those that placement=full asks for; `quantdg show CELL` says why others stay float. Outputs "
    f"moved: largest relative change of a learned scale of theirs, median over outputs; {DASH}: none, or none is learned."
)
_OWN_NOTE = (
    "Of its own: numbers that the method alone has, explained in docs/quantizers.md; means over sites, then medians over "
    "cells. `quantdg show CELL --full` has each layer's."
)


def _share(part: float, whole: float) -> str:
    return f"{part:.0f}/{whole:.0f}"


def _own_text(line: Mapping[Hashable, Any], own: Sequence[str]) -> str:
    found = [f"{name.removeprefix(OWN)} {line[name]:.3g}" for name in own if math.isfinite(line[name])]
    return ", ".join(found) or DASH


def _outputs_text(line: Mapping[Hashable, Any]) -> dict[str, str]:
    asked = line["outputs"] + line["float_outputs"]
    share = _share(line["outputs"] / line["n"], asked / line["n"]) if asked else DASH
    return {"outputs": share, "outputs moved": number_text(line["outputs_moved"], ".2%")}


def _row(line: Mapping[Hashable, Any], own: Sequence[str]) -> dict[str, str]:
    return {
        **{c: str(line[c]) for c in METHOD},
        "levels used": number_text(line["levels"], ".0f"),
        "noise / signal": number_text(line["noise"], ".4f"),
        "worst noise": number_text(line["worst_noise"], ".4f"),
        "saturated": number_text(line["saturation"], ".2%"),
        "worst saturated": number_text(line["worst_saturation"], ".2%"),
        "weight moved": number_text(line["moved"], ".2%"),
        "sites moved": _share(line["sites_moved"], line["sites"]),
        "scale moved": number_text(line["scale_moved"], ".2%"),
        "grid distance": number_text(line["grid_distance"], ".3f"),
        "oscillating": number_text(line["oscillation"], ".2%"),
        "dead": number_text(line["dead"], ".2%"),
        "of its own": _own_text(line, own),
        "coverage": _share(line["quantized"] / line["n"], line["layers"] / line["n"]),
        **_outputs_text(line),
        "cells": str(line["n"]),
    }


def audit_table(audit: pd.DataFrame, name: str, title: str, roles: Roles) -> Table:
    """Make a line per (algorithm, quantizer, bits): medians over sites, then over the section's cells."""
    worst = [f"worst_{what}" for what in _BOUNDS]
    own = [name for name in map(str, audit) if name.startswith(OWN) and audit[name].notna().any()]
    values = audit[[*_VALUES, "outputs_moved", *worst, *own]].astype(float)
    groups = pd.concat([audit[[*METHOD, "key"]], values], axis=1).groupby(METHOD, sort=False)
    counts = audit.groupby(METHOD, sort=False)[["sites_moved", "sites", "quantized", "layers", *_OUTPUTS]].sum()
    numbers = (
        groups[[*_VALUES, "outputs_moved", *own]]
        .median()
        .join(groups[worst].max())
        .join(counts)
        .join(groups.size().rename("n"))
    )
    numbers = ordered(numbers.reset_index(), roles)
    rows = [_row(line, own) for line in numbers.to_dict("records")]
    columns = ["levels used", "noise / signal", "worst noise", "saturated", "worst saturated", "weight moved"]
    columns += ["sites moved", "scale moved", "grid distance", "oscillating", "dead"]
    columns += ["of its own", "coverage"] if own else ["coverage"]
    full = bool(numbers[_OUTPUTS].any(axis=None))
    columns += ["outputs", "outputs moved"] if full else []
    traces = traced("cells", groups["key"].unique().loc[pd.MultiIndex.from_frame(numbers[METHOD])])
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows, columns=[*METHOD, *columns, "cells"]),
        numbers=numbers,
        labels=3,
        notes=(*_warnings(audit, numbers), *_NOTES, *([_OWN_NOTE] if own else []), *([_OUTPUTS_NOTE] if full else [])),
        traces=traces,
    )


def _warnings(audit: pd.DataFrame, numbers: pd.DataFrame) -> Iterator[str]:
    """Say of each method which layer fails behind a median that does not show it."""
    for names in numbers[METHOD].to_dict("records"):
        cells = audit[(audit[METHOD] == pd.Series(names)).all(axis=1)]
        for what, (shown, bound) in _BOUNDS.items():
            columns = [f"worst_{what}", f"{what}_at", f"{what}_of_others"]
            found = [(float(worst), layer, float(usual)) for worst, layer, usual in cells[columns].values.tolist()]
            failing = [f for f in found if f[0] > bound and f[0] > TIMES_OTHERS * f[2]]
            if failing:
                worst, layer, usual = max(failing)
                yield (
                    f"Warning: {' '.join(map(str, names.values()))}: layer {layer} has {shown} {worst:.2g}, the median of the others "
                    f"{usual:.2g}, in {len(failing)} of {len(cells)} cells (said above {bound:g} and {TIMES_OTHERS} times the others)."
                )


def audit_tables(results: Results) -> Iterator[Table]:
    """Make the table of evidence of each section."""
    make = partial(audit_table, roles=results.roles)
    return by_section(results, results.audit, "audit", "Audit of the quantizers", make=make)
