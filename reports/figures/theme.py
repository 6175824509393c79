"""How a figure looks: as a file, as a column of a paper, and on the page, where CSS gives the colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LIGHT = (
    *("#0072b2", "#c77c00", "#00815d", "#b0578c", "#c04f00", "#2f93c9", "#5b636d", "#877b00"),
    *("#00456d", "#7a4c00", "#004f38", "#6f2f57", "#752f00", "#174f70", "#24282d", "#4f4800"),
)
"""Colours of a series: the first eight after Okabe and Ito, darkened to a contrast of 3 on white; then their shades."""
_BELOW = {"direction": "vertical", "anchor": "start"}
NOT_CLIPPED = 0
"""Vega reads a limit of 0 as none: no label is cut and no symbol left out of a legend."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The colours and letters of every figure.

    Attributes:
        ink: of marks and titles.
        muted: of labels and lines that guide the eye.
        grid: of grid lines.
        paper: of the background; none: what is behind shows.
        band: of an area that stands for no difference.
        series: of methods or domains, in turn.
        font: family of all text. One face only: vl-convert numbers the fonts of a PDF anew in each process.
        points: size of labels.
        columns: of a legend below the figure; none: it stands beside it.
        spoken: whether each mark has a label for screen readers.
    """

    ink: str
    muted: str
    grid: str
    paper: str | None
    band: str
    series: tuple[str, ...]
    font: str
    points: float = 11
    columns: int | None = None
    spoken: bool = False

    def config(self) -> dict[str, Any]:
        """Return the Vega-Lite configuration."""
        text = {"labelFontSize": self.points, "titleFontSize": self.points, "labelLimit": NOT_CLIPPED}
        plain = {
            "titleFontWeight": "normal",
            "labelColor": self.muted,
            "titleColor": self.ink,
            "titleLimit": NOT_CLIPPED,
        }
        lines = {"domainColor": self.muted, "tickColor": self.muted, "gridColor": self.grid}
        place = {"orient": "bottom", "columns": self.columns, "layout": {"bottom": _BELOW}} if self.columns else {}
        symbols = {
            "symbolLimit": NOT_CLIPPED,
            "symbolSize": 6 * self.points,
            "symbolStrokeWidth": 1.6,
            "rowPadding": 3,
            "symbolBaseFillColor": self.ink,
        }
        heading = {"anchor": "start", "fontWeight": "normal", "color": self.ink, "fontSize": self.points + 3}
        below = {"subtitleColor": self.muted, "subtitleFontSize": self.points, "limit": NOT_CLIPPED, "offset": 10}
        return {
            "aria": self.spoken,
            "background": self.paper,
            "font": self.font,
            "axis": {**text, **plain, **lines, "tickSize": 4, "labelSeparation": 6},
            "legend": {**text, **plain, **symbols, **place},
            "header": {**text, **plain, "titleFontSize": self.points + 1},
            "title": {**heading, **below},
            "view": {"stroke": self.grid},
            "range": {"category": [*self.series]},
            "style": self._styles(),
            "text": {"fontSize": self.points},
        }

    def _styles(self) -> dict[str, Any]:
        """What the marks of QuantDG's figures are called by."""
        return {
            "band": {"color": self.band},
            "dot": {"stroke": self.paper or "var(--bg)", "strokeWidth": 0.6, "opacity": 1},
            "frontier": {"color": self.muted, "strokeWidth": 1.5},
            "interval": {"color": self.ink, "strokeWidth": 1.4},
            "joined": {"color": self.ink, "strokeWidth": 3},
            "mean": {"color": self.ink, "opacity": 1},
            "said": {"color": self.muted},
            "series": {"strokeWidth": 1.5},
            "thin": {"color": self.muted, "strokeWidth": 1},
            "words": {"color": self.ink},
            "zero": {"color": self.muted, "strokeWidth": 1, "strokeDash": [4, 3]},
        }


FILE = Look(
    ink="#1a1d21",
    muted="#5b636d",
    grid="#dde1e6",
    paper="#ffffff",
    band="#eef1f4",
    series=LIGHT,
    font="Liberation Sans",
)
"""A file of the report; the letters are those that vl-convert brings, the same on every machine."""
PAPER = Look(
    ink="#000000", muted="#3f454c", grid="#e3e6ea", paper="#ffffff", band="#eef1f4", series=LIGHT,
    font="Liberation Sans", points=8, columns=2,
)  # fmt: skip
"""A column of a paper, at 8 points; with letters that a machine may lack it would be as wide as those that stand in for them."""
PAGE = Look(
    ink="var(--fg)", muted="var(--muted)", grid="var(--line)", paper=None, band="var(--band)", spoken=True,
    series=tuple(f"var(--series-{i})" for i in range(len(LIGHT))), font="system-ui, sans-serif", points=12,
)  # fmt: skip
"""The page: figures.css gives these variables their values in the light and in the dark."""
COLUMN = 234
"""Width of a column of a paper, 3.25 inches, in points, which are the pixels of a PDF."""
TWO_COLUMNS = 495
"""Width of both columns, 6.875 inches."""
PAGE_HEIGHT = 610
"""What a figure may take of a page of 9 inches, in points: a caption stands below it."""
