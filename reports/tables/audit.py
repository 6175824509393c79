"""Evidence that each quantizer did something: levels in use, noise, movement, coverage."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from ..frames.columns import METHOD, ordered
from ..frames.results import Results
from ..frames.roles import Roles
from ..text.numbers import DASH, number_text
from .by_section import by_section
from .table import Table, traced

_VALUES = ["levels", "noise", "saturation", "moved", "scale_moved"]
_NOTES = (
    "Medians over sites, then over cells.",
    "Noise / signal: std(w_q - w) / std(w) of the latent weights; compare methods by it, not by bits.",
    "Weight moved: relative change since the quantizer was inserted; sites moved counts the sites of all cells.",
    f"Scale moved: largest relative change of a learned scale; {DASH}: none is learned.",
    "Coverage: quantized layers of those that could be.",
)


def _share(part: float, whole: float) -> str:
    return f"{part:.0f}/{whole:.0f}"


def audit_table(audit: pd.DataFrame, name: str, title: str, roles: Roles) -> Table:
    """Make a line per (algorithm, quantizer, bits): medians over sites, then over the section's cells."""
    values = audit[_VALUES].astype(float)
    groups = pd.concat([audit[[*METHOD, "key"]], values], axis=1).groupby(METHOD, sort=False)
    counts = audit.groupby(METHOD, sort=False)[["sites_moved", "sites", "quantized", "layers"]].sum()
    numbers = groups[_VALUES].median().join(counts).join(groups.size().rename("n"))
    numbers = ordered(numbers.reset_index(), roles)
    rows = [
        {
            **{c: str(line[c]) for c in METHOD},
            "levels used": number_text(line["levels"], ".0f"),
            "noise / signal": number_text(line["noise"], ".4f"),
            "saturated": number_text(line["saturation"], ".2%"),
            "weight moved": number_text(line["moved"], ".2%"),
            "sites moved": _share(line["sites_moved"], line["sites"]),
            "scale moved": number_text(line["scale_moved"], ".2%"),
            "coverage": _share(line["quantized"] / line["n"], line["layers"] / line["n"]),
            "cells": str(line["n"]),
        }
        for line in numbers.to_dict("records")
    ]
    columns = ["levels used", "noise / signal", "saturated", "weight moved", "sites moved", "scale moved", "coverage"]
    traces = traced("cells", groups["key"].unique().loc[pd.MultiIndex.from_frame(numbers[METHOD])])
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows, columns=[*METHOD, *columns, "cells"]),
        numbers=numbers,
        labels=3,
        notes=_NOTES,
        traces=traces,
    )


def audit_tables(results: Results) -> Iterator[Table]:
    """Make the table of evidence of each section."""
    make = partial(audit_table, roles=results.roles)
    return by_section(results, results.audit, "audit", "Audit of the quantizers", make=make)
