"""Accuracy against cost, the frontier joined, as inline SVG."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from . import svg

_WIDTH = 860


class Point(NamedTuple):
    """A method is a point: its cost, where lower is better, and its accuracy in percent."""

    name: str
    cost: float
    accuracy: float


def frontier(points: list[Point]) -> list[Point]:
    """Keep the points that no other beats in both cost and accuracy, by rising cost."""
    out: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not out or point.accuracy > out[-1].accuracy:
            out.append(point)
    return out


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _free(x: float, y: float, labels: list[tuple[float, float]]) -> float:
    """The height at or below ``y`` where a label at ``x`` covers none of those that are there."""
    while any(abs(x - a) < 160 and abs(y - b) < 13 for a, b in labels):
        y += 1
    return y


def pareto(points: list[Point], cost: str, title: str) -> svg.Picture | None:
    """Draw accuracy against a positive cost on a logarithmic axis, the frontier joined; None without points."""
    points = [p for p in points if p.cost > 0 and np.isfinite(p.accuracy)]
    if not points:
        return None
    x_low, x_high, fx, ox = svg.scale([math.log10(p.cost) for p in points], 70, _WIDTH - 150)
    y_low, y_high, fy, oy = svg.scale([p.accuracy for p in points], 300, 16)
    body: list[svg.Part] = [
        svg.Line(70, oy + fy * t, _WIDTH - 150, oy + fy * t, kind="grid") for t in svg.ticks(y_low, y_high)
    ]
    body += [svg.Label(62, oy + fy * t + 4, f"{t:g}", "end") for t in svg.ticks(y_low, y_high)]
    body += [svg.Label(ox + fx * math.log10(c), 320, _cost(c), "middle") for c in svg.log_ticks(x_low, x_high)]
    best = frontier(points)
    path = [(ox + fx * math.log10(p.cost), oy + fy * p.accuracy) for p in best]
    body.append(svg.Path(tuple(path), "frontier"))
    labels: list[tuple[float, float]] = []
    for i, p in sorted(enumerate(points), key=lambda own: -own[1].accuracy):
        x, y = ox + fx * math.log10(p.cost), oy + fy * p.accuracy
        body.append(svg.Mark(x, y, i, f"{p.name}: {_cost(p.cost)} {cost}, {p.accuracy:.2f} %"))
        if p in best or len(points) <= 12:
            labels.append((x, _free(x, y + (12 if p in best[:-1] else 0), labels)))  # below the frontier
            body.append(svg.Label(x + 9, labels[-1][1] + 4, p.name, width=26))
    body.append(svg.Label(410, 342, f"{cost} (log scale)", "middle"))
    caption = "Accuracy in %, mean over target domains; the line joins the methods that no other beats in both."
    return svg.Picture(_WIDTH, 352, title, caption, body=tuple(body))
