"""Lines of quantizers, a panel for each algorithm of each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from .fields import Rows, coloured, highlighted, legend_of, panels

_HEIGHT = 220
_FEW = 2000
"""Points up to which each is marked."""
_DASHES = ([1, 0], [5, 3], [2, 2])
_SHAPES = ("circle", "square", "triangle-up")


class Axis(NamedTuple):
    """What an axis shows: the field of the rows, and the name with its unit."""

    field: str
    title: str
    form: str = ",.4~g"


def lines(
    rows: Rows, names: Sequence[str], x: Axis, y: Axis, *, choice: str = "", zero: bool = False, points: bool = False
) -> alt.TopLevelMixin:
    """Draw a line for each quantizer.

    Args:
        rows: points by `PANEL` and quantizer.
        names: the quantizers, which their places give colours, and dashes or shapes.
        x: horizontal.
        y: vertical.
        choice: field of the rows by which a drop-down list chooses.
        points: whether points are what is looked at, many without a line: they have the shapes then, lines no dashes.
        zero: whether a dashed line marks 0 on the vertical axis.
    """
    picked = alt.selection_point(fields=["quantizer"], bind="legend")
    said = [alt.Tooltip(f"{axis.field}:Q", title=axis.title, format=axis.form) for axis in (x, y)]
    base = alt.Chart().encode(
        x=alt.X(
            f"{x.field}:Q",
            title=x.title,
            scale=alt.Scale(zero=False, nice=False, padding=8),
            axis=alt.Axis(tickCount=6, tickMinStep=1 if _counts(rows, x) else alt.Undefined),
        ),
        y=alt.Y(f"{y.field}:Q", title=y.title, scale=alt.Scale(zero=False, padding=8)),
        opacity=highlighted(picked),
        tooltip=[alt.Tooltip("quantizer:N"), *said],
    )
    layers = _points(base, rows, names) if points else [_dashed(base, rows, names)]
    layers[-1] = layers[-1].properties(name="marks").add_params(picked)
    if zero:
        layers.insert(0, alt.Chart(alt.InlineData(values=[{}])).mark_rule(style="zero").encode(y=alt.datum(0)))
    return panels(alt.layer(*layers) if len(layers) > 1 else layers[0], rows, height=_HEIGHT, choice=choice)


def _counts(rows: Rows, axis: Axis) -> bool:
    return all(isinstance(row[axis.field], int) for row in rows)


def _dashed(base: alt.Chart, rows: Rows, names: Sequence[str]) -> Any:
    """Lines told apart by colour and dash."""
    legend = legend_of(rows, names, symbolType="stroke", symbolSize=300, symbolStrokeWidth=2)
    few = {"filled": True, "size": 22} if len(rows) <= _FEW else False
    dash = alt.StrokeDash("quantizer:N", scale=_by_eights(names, _DASHES), legend=legend)
    return base.mark_line(style="series", point=few).encode(color=coloured(names, legend), strokeDash=dash)


def _points(base: alt.Chart, rows: Rows, names: Sequence[str]) -> list[Any]:
    """Lines, and above them points told apart by colour and shape."""
    legend = legend_of(rows, names)
    colour, shape = (
        coloured(names, legend),
        alt.Shape("quantizer:N", scale=_by_eights(names, _SHAPES), legend=legend),
    )
    points = base.mark_point(style="dot", filled=True, size=60).encode(color=colour, shape=shape)
    return [base.mark_line(style="series").encode(color=colour), points]


def _by_eights(names: Sequence[str], looks: Sequence[Any]) -> alt.Scale:
    """One look for each eight names, whose colours differ."""
    return alt.Scale(domain=[*names], range=[looks[i // 8 % len(looks)] for i in range(len(names))])


def means(frame: pd.DataFrame, by: str | list[str], x: str, y: str) -> Iterator[dict[str, Any]]:
    """Yield the mean of ``y`` at each ``x`` of what ``by`` names, in its order."""
    found = frame.groupby([*([by] if isinstance(by, str) else by), x], sort=False)[y].mean().dropna().reset_index()
    yield from found.rename(columns=str).to_dict("records")  # type: ignore[misc]
