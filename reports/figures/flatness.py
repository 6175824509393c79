"""How much the loss rises around the deployed weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from ...bench.results.record import quantizer_label
from ..frames.columns import of_section
from ..frames.results import Results
from .fields import PANEL, Field, Figure, Rows, coloured, fields, panels, there
from .lines import Axis, lines, means

_CAPTION = "Rise of the loss along random directions, deployed weights, mean over cells; lower is flatter."
_ROW = 20


def flatness_figures(results: Results) -> Iterator[Figure]:
    """Draw the rise F(r) against the radius r, of a single radius a line for each quantizer, on the sources and on the target."""
    for field in fields(results):
        rows = [*rises(field)]
        if rows:
            radii = {row["radius"] for row in rows}
            chart = _curves(rows, field) if len(radii) > 1 else _at_one_radius(rows, field, radii.pop())
            yield field.finished(chart, "flatness", "Flatness", caption=_CAPTION, rows=rows)


def _curves(rows: Rows, field: Field) -> alt.TopLevelMixin:
    radius = Axis("radius", "r, root-mean-square displacement of a parameter")
    return lines(rows, field.quantizers, radius, Axis("rise", "F(r), rise of the loss, nats"), choice="place")


def _at_one_radius(rows: Rows, field: Field, radius: float) -> alt.TopLevelMixin:
    title = f"F({radius:g}), rise of the loss, nats"
    chart = (
        alt.Chart()
        .mark_point(style="dot", filled=True, size=60)
        .properties(name="marks")
        .encode(
            x=alt.X("rise:Q", title=title),
            y=alt.Y("quantizer:N", title=None, sort=there(rows, field.quantizers), axis=alt.Axis(grid=True)),
            color=coloured(field.quantizers, None),
            tooltip=[alt.Tooltip("quantizer:N"), alt.Tooltip("rise:Q", title=title, format=",.4~g")],
        )
    )
    return panels(chart, rows, height=alt.Step(_ROW), choice="place")


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
