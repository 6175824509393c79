"""How much the loss rises around the deployed weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...bench.results.record import quantizer_label
from ..frames.columns import of_section
from ..frames.results import Results
from .fields import PANEL, Field, Figure, fields
from .lines import Axis, lines, means

_CAPTION = "Rise of the loss along random directions, deployed weights, mean over cells; lower is flatter."


def flatness_figures(results: Results) -> Iterator[Figure]:
    """Draw the rise F(r) against the radius r, on the sources and on the target."""
    for field in fields(results):
        rows = [*rises(field)]
        if rows:
            radius = Axis("radius", "r, root-mean-square displacement of a parameter")
            chart = lines(rows, field.quantizers, radius, Axis("rise", "F(r), rise of the loss, nats"), choice="place")
            yield field.finished(chart, "flatness", "Flatness", caption=_CAPTION, rows=rows)


def rises(field: Field) -> Iterator[dict[str, Any]]:
    """Yield the mean over cells of each method's rise at each radius, by place."""
    for section in field.sections:
        found = of_section(field.results.flatness, section)
        own = found[(found["weights"] == "deployed") & found["measure"].str.startswith("F(")]
        names = [quantizer_label(q, b) for q, b in zip(own["quantizer"], own["bits"], strict=True)]
        panels = [field.panel(section, algorithm) for algorithm in own["algorithm"]]
        radii = own["measure"].str.slice(2, -1).astype(float)
        own = own.assign(quantizer=names, radius=radii, rise=own["value"])
        own[PANEL] = panels
        yield from means(own, ["place", PANEL, "quantizer"], "radius", "rise")
