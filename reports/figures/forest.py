"""Forest plot: paired gains by domain, with their mean and interval, as inline SVG."""

from __future__ import annotations

import numpy as np

from ..frames import gains
from ..frames.cube import Cube, Method, method_label
from ..stats.effect import Floats, t_interval
from . import svg

_MOST = 60
_LEFT, _WIDTH, _ROW = 250, 860, 26


def _row(method: Method, means: Floats, y: float, cube: Cube, to_x: tuple[float, float]) -> list[svg.Part]:
    factor, offset = to_x
    out: list[svg.Part] = [svg.Label(_LEFT - 14, y + 4, method_label(method), "end", width=36)]
    for i, (target, value) in enumerate(zip(cube.targets, means, strict=True)):
        if np.isfinite(value):
            shift = (i - (len(means) - 1) / 2) * min(14 / len(means), 4)
            out.append(svg.Mark(offset + factor * value, y + shift, i, f"{target}: {value:+.2f} points"))
    if not np.isfinite(means).all():
        return [*out, svg.Label(_WIDTH - 10, y + 4, "incomplete", "end", kind="muted")]
    mean, low, high = t_interval(means)
    x = offset + factor * mean
    if np.isfinite(low):
        out.insert(1, svg.Line(offset + factor * low, y, offset + factor * high, y, kind="interval"))
    return [*out, svg.Line(x, y - 9, x, y + 9, kind="mean")]


def _legend(cube: Cube, y: float) -> list[svg.Part]:
    out: list[svg.Part] = []
    x = float(_LEFT)
    for i, target in enumerate(cube.targets[:6]):
        out += [svg.Mark(x, y - 4, i, target), svg.Label(x + 10, y, target, width=14)]
        x += 100
    return out


def forest(cube: Cube, selection: str, title: str) -> svg.Picture | None:
    """Draw the gains of one section, of at most 60 methods; None where there is no gain to show."""
    rows = [(method, values.mean(axis=1)) for method, values in gains.over_float(cube, selection)]
    shown = rows[:_MOST]
    ends = [v for _, means in shown for v in (*means, *t_interval(means)) if np.isfinite(v)]
    if not ends:
        return None
    low, high, factor, offset = svg.scale([*ends, 0.0], _LEFT, _WIDTH - 20)
    bottom = 20 + _ROW * len(shown)
    body: list[svg.Part] = [
        svg.Line(offset + factor * t, 8, offset + factor * t, bottom, kind="grid") for t in svg.ticks(low, high)
    ]
    body += [svg.Label(offset + factor * t, bottom + 16, f"{t:g}", "middle") for t in svg.ticks(low, high)]
    body.append(svg.Line(offset, 8, offset, bottom, kind="zero"))
    for i, (method, means) in enumerate(shown):
        body += _row(method, means, 20 + _ROW * (i + 0.5) - 6, cube, to_x=(factor, offset))
    body.append(svg.Label((_LEFT + _WIDTH) / 2, bottom + 36, "gain over float, points", "middle"))
    body += _legend(cube, bottom + 62)
    rest = f" The first {_MOST} of {len(rows)} methods." if len(rows) > _MOST else ""
    caption = f"A mark for each target domain, a bar for their mean, a line for its 95 % t-interval.{rest}"
    return svg.Picture(_WIDTH, bottom + 76, title, caption, body=tuple(body))
