"""Critical-difference diagram: mean ranks of methods, those that cannot be told apart joined, as inline SVG."""

from __future__ import annotations

import numpy as np

from ..frames.cube import Cube, method_label
from ..stats.ranking import Ranking, rank
from ..text.numbers import p_phrase
from . import svg

_WIDTH = 860
_MOST_RANKED = 20


def groups(ranking: Ranking) -> list[tuple[float, float]]:
    """Find the maximal runs of mean ranks that lie within the critical difference, as (lowest, highest)."""
    ranks = np.sort(ranking.ranks)
    found: list[tuple[float, float]] = []
    for low in ranks:
        high = float(ranks[ranks <= low + ranking.critical_difference + 1e-12].max())
        if high > low and (not found or high > found[-1][1]):
            found.append((float(low), high))
    return found


def critical_difference(cube: Cube, selection: str, alpha: float, title: str) -> svg.Picture | None:
    """Draw the mean ranks over target domains of one selection rule's complete methods; None with fewer than 3."""
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
    body: list[svg.Part] = [svg.Line(left, 24, right, 24, kind="axis")]
    for i in range(k):
        body += [svg.Line(left + i * step, 20, left + i * step, 28, kind="axis")]
        body.append(svg.Label(left + i * step, 14, f"{i + 1}", "middle"))
    for i, (low, high) in enumerate(bars):
        body.append(svg.Line(left + (low - 1) * step, 34 + 9 * i, left + (high - 1) * step, 34 + 9 * i, kind="mean"))
    order = np.argsort(ranking.ranks, kind="stable")
    for place, j in enumerate(order):
        x, first = left + (ranking.ranks[j] - 1) * step, place < (k + 1) // 2
        y = top + 18 * (place if first else k - 1 - place) + 12
        edge = left - 12 if first else right + 12
        body += [svg.Line(x, 24, x, y, kind="thin"), svg.Line(x, y, edge, y, kind="thin")]  # pyright: ignore[reportArgumentType]
        text = f"{names[j]} {ranking.ranks[j]:.2f}"
        body.append(svg.Label(edge + (-4 if first else 4), y + 4, text, "end" if first else "start", width=34))
    caption = (
        f"Mean rank over {ranking.n_blocks} target domains, 1 is best; a bar joins methods within Nemenyi's critical "
        f"difference {ranking.critical_difference:.2f}. Friedman {p_phrase(ranking.p)}."
    )
    return svg.Picture(_WIDTH, top + 18 * ((k + 1) // 2) + 16, title, caption, body=tuple(body))
