"""Critical-difference diagram of methods, and accuracy against cost, as inline SVG."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantdg.reports import svg
from quantdg.reports.cube import Cube, method_label
from quantdg.reports.stats.ranking import Ranking, rank
from quantdg.reports.words import p_phrase

_WIDTH = 860
_MOST_RANKED = 20


class Point(NamedTuple):
    """A method's cost (lower is better) and accuracy in percent."""

    name: str
    cost: float
    accuracy: float


def groups(ranking: Ranking) -> list[tuple[float, float]]:
    """Maximal runs of mean ranks that lie within the critical difference, as (lowest, highest)."""
    ranks = np.sort(ranking.ranks)
    found: list[tuple[float, float]] = []
    for low in ranks:
        high = float(ranks[ranks <= low + ranking.critical_difference + 1e-12].max())
        if high > low and (not found or high > found[-1][1]):
            found.append((float(low), high))
    return found


def critical_difference(cube: Cube, selection: str, alpha: float, title: str) -> svg.Picture | None:
    """Mean ranks over target domains of the complete methods of one selection rule; None with fewer than 3."""
    whole = [i for i, m in enumerate(cube.methods) if m[3] == selection and np.isfinite(cube.accuracy[i]).all()]
    whole = whole[:_MOST_RANKED]
    ranking = rank(cube.accuracy[whole].mean(axis=2).T, alpha) if whole else None
    if ranking is None:
        return None
    names = [method_label(cube.methods[i]) for i in whole]
    left, right, k = 230.0, _WIDTH - 230.0, len(names)
    step = (right - left) / (k - 1)
    bars = groups(ranking)
    top = 40 + 9 * len(bars)
    body: list[svg.Part] = [svg.Line(left, 24, right, 24, "axis")]
    for i in range(k):
        body += [svg.Line(left + i * step, 20, left + i * step, 28, "axis")]
        body.append(svg.Label(left + i * step, 14, f"{i + 1}", "middle"))
    for i, (low, high) in enumerate(bars):
        body.append(svg.Line(left + (low - 1) * step, 34 + 9 * i, left + (high - 1) * step, 34 + 9 * i, "mean"))
    order = np.argsort(ranking.ranks, kind="stable")
    for place, j in enumerate(order):
        x, first = left + (ranking.ranks[j] - 1) * step, place < (k + 1) // 2
        y = top + 18 * (place if first else k - 1 - place) + 12
        edge = left - 12 if first else right + 12
        body += [svg.Line(x, 24, x, y, "thin"), svg.Line(x, y, edge, y, "thin")]
        text = f"{names[j]} {ranking.ranks[j]:.2f}"
        body.append(svg.Label(edge + (-4 if first else 4), y + 4, text, "end" if first else "start", 34))
    said = (
        f"Mean rank over {ranking.n_blocks} target domains, 1 is best; a bar joins methods within Nemenyi's critical "
        f"difference {ranking.critical_difference:.2f}. Friedman {p_phrase(ranking.p)}."
    )
    return svg.Picture(_WIDTH, top + 18 * ((k + 1) // 2) + 16, title, said, tuple(body))


def frontier(points: list[Point]) -> list[Point]:
    """The points that no other beats in both cost and accuracy, by rising cost."""
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
    """Accuracy against a positive cost on a logarithmic axis, the frontier joined; None without points."""
    points = [p for p in points if p.cost > 0 and np.isfinite(p.accuracy)]
    if not points:
        return None
    x_low, x_high, fx, ox = svg.scale([math.log10(p.cost) for p in points], 70, _WIDTH - 150)
    y_low, y_high, fy, oy = svg.scale([p.accuracy for p in points], 300, 16)
    body: list[svg.Part] = [
        svg.Line(70, oy + fy * t, _WIDTH - 150, oy + fy * t, "grid") for t in svg.ticks(y_low, y_high)
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
    said = "Accuracy in %, mean over target domains; the line joins the methods that no other beats in both."
    return svg.Picture(_WIDTH, 352, title, said, tuple(body))
