"""Small pieces of a drawing, and a drawing as inline SVG for the page or as an SVG file that stands alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from ..text import escape

INK, MUTED, PAPER = "#1a1d21", "#5b636d", "#ffffff"
COLOURS = ("#0072b2", "#c77c00", "#00815d", "#b0578c", "#c04f00", "#3c6e91")
STROKES = {
    "grid": ("#dde1e6", 1.0),
    "zero": (MUTED, 1.0),
    "axis": (MUTED, 1.0),
    "thin": (MUTED, 1.0),
    "interval": (INK, 1.6),
    "mean": (INK, 3.0),
    "frontier": (MUTED, 1.5),
    **{f"series s{i}": (colour, 1.6) for i, colour in enumerate(COLOURS)},
}
"""Colour and width of each kind of line, in a light theme; the page has a dark one besides."""
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),  # a circle of radius 5
    ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
    ((0, -6), (6, 0), (0, 6), (-6, 0)),
    ((0, -5.5), (5.5, 4.5), (-5.5, 4.5)),
    ((0, 5.5), (5.5, -4.5), (-5.5, -4.5)),
    ((-6, -2), (-2, -2), (-2, -6), (2, -6), (2, -2), (6, -2), (6, 2), (2, 2), (2, 6), (-2, 6), (-2, 2), (-6, 2)),
)
_CIRCLE = "M-5,0A5,5 0 1,0 5,0A5,5 0 1,0 -5,0"
_LINE = Markup('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>')
_PATH = Markup('<polyline points="%s" class="%s"/>')
_LABEL = Markup('<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>')
_MARK = Markup('<path d="%s" transform="translate(%.1f,%.1f)" class="mark c%s"><title>%s</title></path>')
_FILE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
    'viewBox="0 {top} {width:.0f} {height:.0f}"><title>{title}</title><desc>{caption}</desc><style>{style}</style>'
    '<rect y="{top}" width="100%" height="100%" fill="{paper}"/>{header}{body}</svg>\n'
)
HEADER = 30
"""Height of the title of a drawing that stands alone."""


@cache
def _outline(corners: tuple[tuple[float, float], ...]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in corners) + "Z" if corners else _CIRCLE


class Line(NamedTuple):
    """A straight line in the style that ``kind`` names in STROKES."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str

    def markup(self) -> Markup:
        """Write it as SVG."""
        return _LINE % self


class Path(NamedTuple):
    """Points that straight lines join, in the style that ``kind`` names in STROKES."""

    points: tuple[tuple[float, float], ...]
    kind: str

    def markup(self) -> Markup:
        """Write it as SVG."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        return _PATH % (points, self.kind)


class Label(NamedTuple):
    """One line of text, cut to ``width`` characters; ``anchor`` start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    width: int = 30
    kind: str = ""

    @property
    def shown(self) -> str:
        """Return the text that fits."""
        plain = escape.clean(self.text)
        return plain if len(plain) <= self.width else f"{plain[: self.width - 1]}…"

    def markup(self) -> Markup:
        """Write it as SVG."""
        return _LABEL % (self.x, self.y, self.anchor, self.kind, self.shown)


class Mark(NamedTuple):
    """The i-th mark, with a tooltip; the first 36 differ in shape or colour, the first 6 in both."""

    x: float
    y: float
    i: int
    title: str

    @property
    def colour(self) -> int:
        """Return the place of its colour in COLOURS."""
        return self.i % len(COLOURS)

    @property
    def outline(self) -> tuple[tuple[float, float], ...]:
        """Return the corners of its shape; none for a circle."""
        return SHAPES[(self.i + self.i // len(COLOURS)) % len(SHAPES)]

    def markup(self) -> Markup:
        """Write it as SVG."""
        return _MARK % (_outline(self.outline), self.x, self.y, self.colour, escape.clean(self.title))


Part = Line | Path | Label | Mark


def ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Return round numbers inside [low, high], about so many."""
    raw = max(high - low, 1e-9) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, fewest: int = 3) -> list[float]:
    """Return round numbers whose decimal logarithms lie inside [low, high]."""
    found: list[float] = []
    for digits in ((1.0,), (1.0, 2.0, 5.0)):
        decades = range(math.floor(low), math.ceil(high) + 1)
        found = [m * 10.0**k for k in decades for m in digits if low <= math.log10(m) + k <= high]
        if len(found) >= fewest:
            return found
    return ticks(10**low, 10**high, fewest + 1)


def scale(values: list[float], start: float, end: float, pad: float = 0.06) -> tuple[float, float, float, float]:
    """Return (low, high, factor, offset): ``offset + factor * value`` maps the padded range to [start, end]."""
    finite = [v for v in values if np.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    room = pad * (high - low) or 0.2 * abs(high) or 0.5
    low, high = low - room, high + room
    factor = (end - start) / (high - low)
    return low, high, factor, start - low * factor


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        width: pixels.
        height: pixels, without the title.
        title: plain text, escaped on output.
        caption: what it shows, in a sentence or two; plain text.
        body: its lines, marks and words.
        keys: the records it shows.
        section: the (data set, model, protocol) it stands with; None: after all sections.
    """

    width: float
    height: float
    title: str
    caption: str
    body: tuple[Part, ...]
    keys: tuple[str, ...] = ()
    section: tuple[str, str, str] | None = None

    def markup(self) -> Markup:
        """Write what is inside the ``svg`` element."""
        return Markup().join(part.markup() for part in self.body)

    def standalone(self) -> str:
        """Write an SVG file with its title above and its own light style."""
        lines = "".join(
            f".{kind.replace(' ', '.')}{{stroke:{colour};stroke-width:{width:g};fill:none}}"
            for kind, (colour, width) in STROKES.items()
        )
        marks = "".join(f".c{i}{{fill:{colour}}}" for i, colour in enumerate(COLOURS))
        style = (
            f"text{{font:12px sans-serif;fill:{INK}}}.muted{{fill:{MUTED}}}.title{{font-size:14px;font-weight:bold}}"
            f".mark{{stroke:{PAPER};stroke-width:.7}}.zero{{stroke-dasharray:4 3}}{lines}{marks}"
        )
        return _FILE.format(
            width=self.width, height=self.height + HEADER, top=-HEADER, title=escape.clean(self.title),
            caption=escape.clean(self.caption), style=style, paper=PAPER, header=self.header().markup(), body=self.markup(),
        )  # fmt: skip

    def header(self) -> Label:
        """Return the title, as a drawing that stands alone has it."""
        return Label(10, -10, self.title, width=110, kind="title")
