"""Small pieces of inline SVG: escaped text, a linear axis, marks that differ in shape and colour."""

from __future__ import annotations

import html
import math

import numpy as np

from quantdg.reports import escape

_SHAPES = (
    "M-5,0A5,5 0 1,0 5,0A5,5 0 1,0 -5,0",
    "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "M0,-6L6,0L0,6L-6,0Z",
    "M0,-5.5L5.5,4.5H-5.5Z",
    "M0,5.5L5.5,-4.5H-5.5Z",
    "M-6,-2H-2V-6H2V-2H6V2H2V6H-2V2H-6Z",
)


def safe(text: object) -> str:
    """Text or attribute value."""
    return html.escape(escape.clean(text))


def short(text: object, width: int = 30) -> str:
    """As `safe`, cut to ``width`` characters."""
    plain = escape.clean(text)
    return html.escape(plain if len(plain) <= width else f"{plain[: width - 1]}…")


def label(x: float, y: float, text: object, anchor: str = "start", width: int = 30, kind: str = "") -> str:
    """One line of text; ``anchor`` start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{short(text, width)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line of the style ``kind``."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def mark(x: float, y: float, i: int, title: str) -> str:
    """The i-th mark, with a tooltip."""
    k = i % len(_SHAPES)
    return f'<path d="{_SHAPES[k]}" transform="translate({x:.1f},{y:.1f})" class="mark c{k}"><title>{safe(title)}</title></path>'


def ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Round numbers inside [low, high], about so many."""
    raw = max(high - low, 1e-9) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def scale(values: list[float], start: float, end: float, pad: float = 0.06) -> tuple[float, float, float, float]:
    """(low, high, factor, offset) so that ``offset + factor * value`` maps the padded range to [start, end]."""
    finite = [v for v in values if np.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    room = pad * (high - low) or 0.2 * abs(high) or 0.5
    low, high = low - room, high + room
    factor = (end - start) / (high - low)
    return low, high, factor, start - low * factor


def picture(width: float, height: float, title: str, description: str, body: list[str]) -> str:
    """A figure element with an accessible drawing and a visible caption."""
    name, said = safe(title), safe(description)
    return (
        f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{name}. {said}">{"".join(body)}</svg></div>'
        f"<figcaption>{name}. {said}</figcaption></figure>"
    )
