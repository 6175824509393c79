"""Line charts: bits sweep, gain against noise, training, noise and flatness curves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...bench.results.record import quantizer_label
from ..frames import gains
from ..frames.columns import METHOD
from ..frames.cube import Cube, method_label
from . import svg

_WIDTH, _RIGHT = 860, 640
_MOST = 12
_BITS = re.compile(r"^W(\d+)(.*)$")
Series = Mapping[str, Sequence[tuple[float, float]]]


def chart(series: Series, x_name: str, y_name: str, title: str, caption: str) -> svg.Picture | None:
    """Draw named lines of (x, y), at most 12 of them; None without a finite point.

    Args:
        series: the points of each line, by its name.
        x_name: what the horizontal axis shows, with its unit.
        y_name: what the vertical axis shows, with its unit.
        title: of the drawing.
        caption: what it shows, in a sentence or two.
    """
    shown = {name: [(x, y) for x, y in points if np.isfinite([x, y]).all()] for name, points in series.items()}
    shown = {name: points for name, points in shown.items() if points}
    if not shown:
        return None
    rest = f" The first {_MOST} of {len(shown)} lines." if len(shown) > _MOST else ""
    shown = dict(list(shown.items())[:_MOST])
    every = [point for points in shown.values() for point in points]
    x_low, x_high, fx, ox = svg.scale([x for x, _ in every], 70, _RIGHT)
    y_low, y_high, fy, oy = svg.scale([y for _, y in every], 300, 16)
    body: list[svg.Part] = [
        svg.Line(70, oy + fy * t, _RIGHT, oy + fy * t, kind="grid") for t in svg.ticks(y_low, y_high)
    ]
    body += [svg.Label(62, oy + fy * t + 4, f"{t:g}", "end") for t in svg.ticks(y_low, y_high)]
    body += [svg.Label(ox + fx * t, 320, f"{t:g}", "middle") for t in svg.ticks(x_low, x_high)]
    for i, (name, points) in enumerate(shown.items()):
        place = [(ox + fx * x, oy + fy * y) for x, y in points]
        body.append(svg.Path(tuple(place), f"series s{i % 6}"))
        body += [svg.Mark(x, y, i, f"{name}: {p[0]:g}, {p[1]:.2f}") for (x, y), p in zip(place, points, strict=True)]
        body += [svg.Mark(_RIGHT + 16, 24 + 20 * i, i, name), svg.Label(_RIGHT + 28, 28 + 20 * i, name)]
    body += [svg.Label(70, 10, y_name, kind="muted"), svg.Label((70 + _RIGHT) / 2, 342, x_name, "middle", width=80)]
    return svg.Picture(_WIDTH, 352, title, caption + rest, body=tuple(body))


def _gains(cube: Cube, selection: str) -> dict[tuple[str, str, str], float]:
    """Mean gain of each complete method, by (algorithm, quantizer, bits)."""
    found = {m[:3]: gains.summarise(values).mean for m, values in gains.over_float(cube, selection)}
    return {name: mean for name, mean in found.items() if np.isfinite(mean)}


def by_bits(cube: Cube, selection: str) -> dict[str, list[tuple[float, float]]]:
    """Collect (weight bits, mean gain) of each quantizer that was run at several widths."""
    series: dict[str, list[tuple[float, float]]] = {}
    for (algorithm, quantizer, bits), mean in _gains(cube, selection).items():
        match = _BITS.match(bits)
        if match:
            name = f"{algorithm} {quantizer} {match.group(2)}".strip()
            series.setdefault(name, []).append((float(match.group(1)), mean))
    return {name: sorted(points) for name, points in series.items() if len(points) > 1}


def by_noise(cube: Cube, selection: str, audit: pd.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """Collect (measured noise-to-signal, mean gain) of each quantizer, its widths joined."""
    noise = audit.groupby(METHOD)["noise"].median()
    series: dict[str, list[tuple[float, float]]] = {}
    for method, mean in _gains(cube, selection).items():
        if method in noise.index:
            series.setdefault(" ".join(method[:2]), []).append((float(noise[method]), mean))
    return {name: sorted(points) for name, points in series.items()}


def over_steps(cube: Cube, selection: str, curves: pd.DataFrame) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Collect (step, mean over targets and seeds) of the complete methods, for each column of ``curves``.

    Args:
        cube: one section.
        selection: its keys are those of the methods of this rule.
        curves: columns key, step and those wanted; accuracies come back in percent.
    """
    named: dict[str, str] = {}
    for i, method in enumerate(cube.methods):
        if method[3] == selection and np.isfinite(cube.accuracy[i]).all():
            named |= dict.fromkeys(cube.keys[i].ravel(), method_label(method))
    own = curves.assign(method=curves["key"].map(named)).dropna(subset="method")
    cells = own.groupby("method")["key"].nunique().to_dict()
    whole = [name for name in dict.fromkeys(named.values()) if cells.get(name) == cube.accuracy[0].size]
    out = {}
    for what in (c for c in curves.columns if c not in ("key", "step")):
        found = _means(own, "step", what)
        factor = 1 if what == "noise" else 100
        out[what] = {name: [(x, factor * y) for x, y in found[name]] for name in whole}
    return out


def rises(flatness: pd.DataFrame, place: str) -> dict[str, list[tuple[float, float]]]:
    """Collect (radius, mean over cells of the rise of the loss) of each method's deployed weights.

    Args:
        flatness: of one section, see `quantdg.reports.tables.flatness`.
        place: ``source`` or ``target``.
    """
    here = (flatness["weights"] == "deployed") & (flatness["place"] == place)
    own = flatness[here & flatness["measure"].str.startswith("F(")]
    names = [f"{a} {quantizer_label(q, b)}" for a, q, b in zip(*(own[c] for c in METHOD), strict=True)]
    return _means(own.assign(method=names, radius=own["measure"].str.slice(2, -1).astype(float)), "radius", "value")


def _means(frame: pd.DataFrame, x: str, y: str) -> dict[str, list[tuple[float, float]]]:
    """The means of ``y`` at each ``x``, by the column ``method``, in its order."""
    out: dict[str, list[tuple[float, float]]] = {name: [] for name in frame["method"].unique()}
    means = frame.groupby(["method", x])[y].mean().reset_index()
    for method, at, value in zip(means["method"], means[x], means[y], strict=True):
        out[method].append((float(at), float(value)))
    return out
