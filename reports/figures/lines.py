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


class Axis(NamedTuple):
    """What an axis shows: the field of the rows, and the name with its unit."""

    field: str
    title: str
    form: str = ",.4~g"


def lines(
    rows: Rows, names: Sequence[str], x: Axis, y: Axis, *, choice: str = "", zero: bool = False, size: int = 22
) -> alt.TopLevelMixin:
    """Draw a line for each quantizer.

    Args:
        rows: points by `PANEL` and quantizer.
        names: the quantizers, which their places give colours and dashes.
        x: horizontal.
        y: vertical.
        choice: field of the rows by which a drop-down list chooses.
        size: of a point.
        zero: whether a dashed line marks 0 on the vertical axis.
    """
    picked = alt.selection_point(fields=["quantizer"], bind="legend")
    few = {"filled": True, "size": size} if len(rows) <= _FEW else False
    dashes = alt.Scale(domain=[*names], range=[_DASHES[i // 8 % len(_DASHES)] for i in range(len(names))])
    legend = legend_of(rows, names, symbolType="stroke", symbolSize=300, symbolStrokeWidth=2)
    said = [alt.Tooltip(f"{axis.field}:Q", title=axis.title, format=axis.form) for axis in (x, y)]
    drawn: Any = (
        alt.Chart(name="marks")
        .mark_line(style="series", point=few)
        .encode(
            x=alt.X(
                f"{x.field}:Q",
                title=x.title,
                scale=alt.Scale(zero=False, nice=False, padding=8),
                axis=alt.Axis(tickCount=6),
            ),
            y=alt.Y(f"{y.field}:Q", title=y.title, scale=alt.Scale(zero=False, padding=8)),
            color=coloured(names, legend),
            strokeDash=alt.StrokeDash("quantizer:N", scale=dashes, legend=legend),
            opacity=highlighted(picked),
            tooltip=[alt.Tooltip("quantizer:N"), *said],
        )
        .add_params(picked)
    )
    if zero:
        drawn = alt.layer(alt.Chart(alt.InlineData(values=[{}])).mark_rule(style="zero").encode(y=alt.datum(0)), drawn)
    return panels(drawn, rows, height=_HEIGHT, choice=choice)


def means(frame: pd.DataFrame, by: str | list[str], x: str, y: str) -> Iterator[dict[str, Any]]:
    """Yield the mean of ``y`` at each ``x`` of what ``by`` names, in its order."""
    found = frame.groupby([*([by] if isinstance(by, str) else by), x], sort=False)[y].mean().dropna().reset_index()
    yield from found.rename(columns=str).to_dict("records")  # type: ignore[misc]
