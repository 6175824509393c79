"""Forest plot: the gain of each quantizer and control over float, by target domain, with mean and interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import altair as alt
import numpy as np

from ...bench.results.record import LAST, ORACLE, quantizer_label
from ..frames import gains
from ..frames.cube import Cube
from ..frames.line_ups import LineUp
from ..frames.results import Results
from ..stats.effect import Floats
from ..stats.units import DomainsOfDataSets
from ..text.numbers import points
from .fields import PANEL, Field, Figure, Rows, alone, fields, highlighted, panels

_NOT_DRAWN = (LAST, ORACLE)
_ROW = 24
_AXIS = "gain over float, points"
_NEAR = "!datum.far"
_FENCE = 3.0
"""Quartile distances beyond which a row lies far out, after Tukey."""
_THIRD = 1 / 3
Side = Literal["left", "right"]


def gain_figures(results: Results) -> Iterator[Figure]:
    """Draw the gains that each verdict is about: over the domains of several data sets, or over those of one.

    A mark is a domain's mean over seeds; bar and line are mean and interval as the verdict has them.
    """
    for field in fields(results):
        for part in _judged(field):
            rows = cut([row for rule in _rules(part) for row in _rows(part, rule)])
            if any("gain" in row for row in rows):
                yield part.finished(
                    _chart(rows, part), "gain", "Gain over float", caption=_caption(part, rows), rows=rows
                )


def _judged(field: Field) -> Iterator[Field]:
    """One data set at several severities is no sample of data sets: each is drawn by itself."""
    if len(field.sections) == 1 or LineUp(field.sections).independent:
        yield field
        return
    yield from (alone(field.results, section) for section in field.sections)


def _rules(field: Field) -> list[str]:
    found = dict.fromkeys(method[3] for _, cube in field.cubes for method in cube.methods)
    return [rule for rule in found if rule not in _NOT_DRAWN]


def _cube(field: Field) -> Cube:
    if len(field.sections) == 1:
        return field.results.cubes[field.sections[0]]
    return field.results.cubes_together[LineUp(field.sections)]


def _rows(field: Field, rule: str) -> Iterator[dict[str, Any]]:
    cube, is_method = _cube(field), field.results.roles.is_method
    colours = cube.units.strata if isinstance(cube.units, DomainsOfDataSets) else cube.targets
    for method, values in sorted(gains.over_float(cube, rule), key=lambda own: not is_method(own[0][1])):
        name, means = quantizer_label(method[1], method[2]), np.asarray(values.mean(axis=1))
        named = {PANEL: method[0], "selection": rule, "method": name if is_method(method[1]) else f"control {name}"}
        for domain, colour, value in zip(cube.targets, colours, means, strict=True):
            if np.isfinite(value):
                yield {**named, "domain": domain, "colour": colour, "gain": float(value)}
        yield {**named, **_summary(cube, means, 1 - field.results.rules.alpha)}


def _summary(cube: Cube, means: Floats, level: float) -> dict[str, Any]:
    if not np.isfinite(means).all():
        return {"state": "incomplete"}
    mean, low, high = cube.units.interval(means, level)
    return {"mean": mean, **({} if np.isnan(low) else {"low": low, "high": high})}


def cut(rows: Rows) -> Rows:
    """Mark the rows of methods that lie so far out that all others would share less than a third of the axis.

    Far out is a mean more than three quartile distances beyond the quartiles of all means (Tukey, Exploratory Data Analysis,
    1977, outer fences). Such a row gets ``far``, its mean in words, and is written at the axis' end in place of its marks.
    """
    means = [row["mean"] for row in rows if "mean" in row]
    if not means:
        return rows
    first, third = np.percentile(means, (25, 75))
    low, high = first - _FENCE * (third - first), third + _FENCE * (third - first)
    far = {_row(row): row["mean"] for row in rows if "mean" in row and not low <= row["mean"] <= high}
    near = [row for row in rows if _row(row) not in far]
    if not far or _span(near) > _THIRD * _span(rows):
        return rows
    return [{**row, "far": _at_the_end(far[_row(row)])} if _row(row) in far else row for row in rows]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row[PANEL], row["selection"], row["method"]


def _span(rows: Rows) -> float:
    """How much of the axis rows take; 0 is on it always."""
    values = [row[name] for row in rows for name in ("gain", "mean", "low", "high") if name in row]
    return float(max([0.0, *values]) - min([0.0, *values]))


def _at_the_end(mean: float) -> str:
    return f"◄ {points(mean)}" if mean < 0 else f"{points(mean)} ►"


def _chart(rows: Rows, field: Field) -> alt.TopLevelMixin:
    margin = field.results.rules.margin
    methods = [*dict.fromkeys(row["method"] for row in rows)]
    base = alt.Chart().encode(y=alt.Y("method:N", title=None, sort=methods, axis=alt.Axis(grid=True)))
    near = base.transform_filter(_NEAR)
    said = [alt.Tooltip("method:N"), alt.Tooltip(f"{PANEL}:N", title="algorithm")]
    ends = [alt.Tooltip(f"{end}:Q", format="+.2f", title=f"{end}, points") for end in ("mean", "low", "high")]
    once = alt.Chart(alt.InlineData(values=[{"zero": 0, "low": -margin, "high": margin}]))
    axis = alt.X("gain:Q", title=_AXIS)
    picked = alt.selection_point(fields=["colour"], bind="legend")
    legend = alt.Legend(title="domain means of" if any("/" in str(r.get("domain")) for r in rows) else "domain means")
    marks = (
        near.mark_point(style="dot", filled=True, size=44)
        .properties(name="marks")
        .encode(
            x=axis,
            color=alt.Color("colour:N", sort=None, legend=legend),
            shape=alt.Shape("colour:N", sort=None, legend=legend),
            opacity=highlighted(picked),
            tooltip=[alt.Tooltip("domain:N"), alt.Tooltip("gain:Q", format="+.2f", title="gain, points"), *said],
        )
    )
    layers = [
        once.mark_rect(style="band").encode(x=alt.X("low:Q", title=_AXIS), x2="high:Q"),
        once.mark_rule(style="zero").encode(x="zero:Q"),
        near.mark_rule(style="interval").encode(x="low:Q", x2="high:Q", tooltip=[*said, *ends]),
        marks.add_params(picked),
        near.mark_tick(style="mean", height=14, thickness=2.6).encode(x="mean:Q", tooltip=[*said, *ends]),
        *(_far(base, side, tooltip=[*said, *ends]) for side in _sides(rows)),
        base.transform_filter("datum.state")
        .mark_text(style="said", align="left", dx=4)
        .encode(x=alt.datum(0), text="state:N"),
    ]
    layered = alt.layer(*layers)
    return panels(layered, rows, columns=1, height=alt.Step(_ROW), choice="selection")


def _sides(rows: Rows) -> Iterator[Side]:
    """The ends of the axis beyond which a row lies."""
    far = [row["mean"] for row in rows if "far" in row and "mean" in row]
    if min(far, default=0) < 0:
        yield "left"
    if max(far, default=0) > 0:
        yield "right"


def _far(base: alt.Chart, side: Side, tooltip: list[alt.Tooltip]) -> alt.Chart:
    """The means that lie beyond an end of the axis, in words."""
    beyond, x, dx = ("<", 0, 4) if side == "left" else (">", "width", -4)
    own = base.transform_filter(f"datum.far && datum.mean {beyond} 0").mark_text(style="words", align=side, dx=dx)
    made: alt.Chart = own.encode(x=alt.value(x), text="far:N", tooltip=tooltip)
    return made


def _caption(field: Field, rows: Rows) -> str:
    level, margin = 1 - field.results.rules.alpha, field.results.rules.margin
    far = " ◄ ►: a mean beyond the end of the axis." if any("far" in row for row in rows) else ""
    return (
        f"A mark for each target domain, a bar for the mean, a line for its {100 * level:g} % interval; shaded: up to "
        f"{margin:g} points either way counts as none.{far}"
    )
