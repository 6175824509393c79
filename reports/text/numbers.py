"""How numbers are written in tables and sentences."""

from __future__ import annotations

import math

DASH = "—"
"""Where there is no number."""


def number_text(value: float, form: str) -> str:
    """Write a number in the format ``form``, and a dash for one that is not finite."""
    return format(value, form) if math.isfinite(value) else DASH


def counted(n: int, what: str) -> str:
    """Write a number of things as ``1 seed`` or ``3 seeds``."""
    return f"{n} {what if n == 1 else f'{what}s'}"


def p_text(p: float) -> str:
    """Write a p-value as ``0.125``, or ``< 0.001``; a dash for none."""
    if math.isnan(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3g}"


def p_phrase(p: float) -> str:
    """Write a p-value in a sentence, ``p = 0.125`` or ``p < 0.001``."""
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"


def interval_text(low: float, high: float) -> str:
    """Write an interval as ``+1.12 to +2.80``; a dash with one domain."""
    return DASH if math.isnan(low) else f"{points(low)} to {points(high)}"


def span_text(low: float, high: float) -> str:
    """Write an interval of what has no sign as ``0.10 to 1.30``; a dash where there is none."""
    return DASH if math.isnan(low) else f"{low:.2f} to {high:.2f}"


def points(value: float) -> str:
    """Write points as ``+1.20``, and as ``+0.00`` what rounds to nothing."""
    return f"{round(value, 2) + 0.0:+.2f}"
