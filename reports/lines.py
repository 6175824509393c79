"""Line charts as inline SVG: bits sweep, gain against noise, training curves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from quantdg.reports import gains, svg
from quantdg.reports.cube import Cube, method_label
from quantdg.reports.order import METHOD

_WIDTH, _RIGHT = 860, 640
_MOST = 12
_BITS = re.compile(r"^W(\d+)(.*)$")
Series = Mapping[str, Sequence[tuple[float, float]]]


def chart(series: Series, x_name: str, y_name: str, title: str, said: str) -> str:
    """Named lines of (x, y), at most 12 of them; empty without a finite point."""
    shown = {name: [(x, y) for x, y in points if np.isfinite([x, y]).all()] for name, points in series.items()}
    shown = {name: points for name, points in shown.items() if points}
    if not shown:
        return ""
    rest = f" The first {_MOST} of {len(shown)} lines." if len(shown) > _MOST else ""
    shown = dict(list(shown.items())[:_MOST])
    every = [point for points in shown.values() for point in points]
    x_low, x_high, fx, ox = svg.scale([x for x, _ in every], 70, _RIGHT)
    y_low, y_high, fy, oy = svg.scale([y for _, y in every], 300, 16)
    body = [svg.line(70, oy + fy * t, _RIGHT, oy + fy * t, "grid") for t in svg.ticks(y_low, y_high)]
    body += [svg.label(62, oy + fy * t + 4, f"{t:g}", "end") for t in svg.ticks(y_low, y_high)]
    body += [svg.label(ox + fx * t, 320, f"{t:g}", "middle") for t in svg.ticks(x_low, x_high)]
    for i, (name, points) in enumerate(shown.items()):
        place = [(ox + fx * x, oy + fy * y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place)
        body.append(f'<polyline points="{path}" class="series s{i % 6}"/>')
        body += [svg.mark(x, y, i, f"{name}: {p[0]:g}, {p[1]:.2f}") for (x, y), p in zip(place, points, strict=True)]
        body += [svg.mark(_RIGHT + 16, 24 + 20 * i, i, name), svg.label(_RIGHT + 28, 28 + 20 * i, name)]
    body += [svg.label(70, 10, y_name, kind="muted"), svg.label((70 + _RIGHT) / 2, 342, x_name, "middle", 80)]
    return svg.picture(_WIDTH, 352, title, said + rest, body)


def _gains(cube: Cube, selection: str) -> dict[tuple[str, str, str], float]:
    """Mean gain of each complete method, by (algorithm, quantizer, bits)."""
    found = {m[:3]: gains.summarise(values).mean for m, values in gains.over_float(cube, selection)}
    return {name: mean for name, mean in found.items() if np.isfinite(mean)}


def by_bits(cube: Cube, selection: str) -> dict[str, list[tuple[float, float]]]:
    """(weight bits, mean gain) of each quantizer that was run at several widths."""
    series: dict[str, list[tuple[float, float]]] = {}
    for (algorithm, quantizer, bits), mean in _gains(cube, selection).items():
        match = _BITS.match(bits)
        if match:
            name = f"{algorithm} {quantizer} {match.group(2)}".strip()
            series.setdefault(name, []).append((float(match.group(1)), mean))
    return {name: sorted(points) for name, points in series.items() if len(points) > 1}


def by_noise(cube: Cube, selection: str, audit: pd.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """(measured noise-to-signal, mean gain) of each quantizer, its widths joined."""
    noise = audit.groupby(METHOD)["noise"].median()
    series: dict[str, list[tuple[float, float]]] = {}
    for method, mean in _gains(cube, selection).items():
        if method in noise.index:
            series.setdefault(" ".join(method[:2]), []).append((float(noise[method]), mean))
    return {name: sorted(points) for name, points in series.items()}


def training(cube: Cube, selection: str, curves: pd.DataFrame, what: str) -> dict[str, list[tuple[float, float]]]:
    """(step, mean over targets and seeds in percent) of the complete methods.

    Args:
        cube: one section.
        selection: its keys are those of the methods of this rule.
        curves: columns key, step and ``what``.
        what: ``target_out`` or ``source_acc``.
    """
    out = {}
    steps = curves.set_index("key")
    for i, method in enumerate(cube.methods):
        keys = cube.keys[i].ravel()
        if method[3] == selection and np.isfinite(cube.accuracy[i]).all() and np.isin(keys, steps.index).all():
            means = 100 * steps.loc[keys].groupby("step")[what].mean()
            out[method_label(method)] = [(float(x), float(y)) for x, y in zip(means.index, means, strict=True)]
    return out
