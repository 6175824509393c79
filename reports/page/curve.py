"""The accuracy of one cell over its training, as a small drawing.

Drawn here, in a few lines, and not by the library of the page's figures: a cell's page must cost about a millisecond, as a
run folder has up to thousands of them, and the table below the drawing has every number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, BOTTOM = 640.0, 220.0, 44.0, 34.0
_TICKS = 4


class Tick(NamedTuple):
    """A tick is at ``at`` along its axis and says ``text``."""

    at: float
    text: str


class Curve(NamedTuple):
    """A curve is what templates/cell.html draws: lines by name, each as the points of a polyline, and the ticks."""

    lines: dict[str, str]
    across: list[Tick]
    up: list[Tick]


def curve_of(steps: Sequence[float], lines: dict[str, Sequence[float]]) -> Curve | None:
    """Return the drawing of shares, 0 to 1, over steps; None where fewer than two are known."""
    if len(steps) < 2:
        return None
    found = [value for values in lines.values() for value in values if math.isfinite(value)]
    low, high = _round_ends(min(found), max(found))
    first, last = min(steps), max(steps)

    def x(step: float) -> float:
        return LEFT + (step - first) / ((last - first) or 1) * (WIDTH - LEFT - 8)

    def y(value: float) -> float:
        return 8 + (high - value) / (high - low) * (HEIGHT - BOTTOM - 8)

    levels = [low + i * (high - low) / _TICKS for i in range(_TICKS + 1)]
    return Curve(
        {
            name: " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, own, strict=True))
            for name, own in lines.items()
        },
        [Tick(x(step), f"{step:g}") for step in dict.fromkeys((first, steps[len(steps) // 2], last))],
        [Tick(y(level), f"{100 * level:.0f}") for level in levels],
    )


def _round_ends(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis at whole multiples of four points, so that every tick is a whole percentage."""
    lower = math.floor(25 * low) / 25
    return lower, max(math.ceil(25 * high) / 25, lower + 0.04)
