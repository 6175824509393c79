"""A drawing as PNG: the same lines, marks and words as its SVG, in its light style."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from .svg import COLOURS, HEADER, INK, MUTED, PAPER, STROKES, Label, Line, Mark, Part, Picture
from .svg import Path as Joined

SCALE = 2
_SMOOTH = 2
_DASH, _GAP, _CIRCLE = 4.0, 3.0, 5.0
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _place(x: float, y: float, zoom: int) -> tuple[float, float]:
    return x * zoom, (y + HEADER) * zoom


def _stroke(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], kind: str, zoom: int) -> None:
    colour, width = STROKES[kind]
    draw.line([_place(x, y, zoom) for x, y in points], fill=colour, width=round(width * zoom), joint="curve")


def _dashed(draw: ImageDraw.ImageDraw, line: Line, zoom: int) -> None:
    """A vertical line with gaps."""
    y = line.y1
    while y < line.y2:
        _stroke(draw, [(line.x1, y), (line.x1, min(y + _DASH, line.y2))], line.kind, zoom)
        y += _DASH + _GAP


def _mark(draw: ImageDraw.ImageDraw, mark: Mark, zoom: int) -> None:
    colour, shape = COLOURS[mark.colour], mark.outline
    (x, y), edge = _place(mark.x, mark.y, zoom), round(0.7 * zoom)
    if shape:
        corners = [(x + a * zoom, y + b * zoom) for a, b in shape]
        draw.polygon(corners, colour)
        draw.line([*corners, corners[0]], PAPER, edge, joint="curve")
    else:
        r = _CIRCLE * zoom
        draw.ellipse([x - r, y - r, x + r, y + r], colour, PAPER, edge)


def _shape(draw: ImageDraw.ImageDraw, part: Part, zoom: int) -> None:
    match part:
        case Mark():
            _mark(draw, part, zoom)
        case Line(kind="zero"):
            _dashed(draw, part, zoom)
        case Line(x1, y1, x2, y2, kind):
            _stroke(draw, [(x1, y1), (x2, y2)], kind, zoom)
        case Joined(points, kind):
            _stroke(draw, list(points), kind, zoom)


def _word(draw: ImageDraw.ImageDraw, label: Label) -> None:
    colour = MUTED if label.kind == "muted" else INK
    font = _font((14 if label.kind == "title" else 12) * SCALE)
    draw.text(_place(label.x, label.y, SCALE), label.shown, colour, font, anchor=_ANCHORS[label.anchor])


def png(picture: Picture) -> bytes:
    """Return the file's bytes, at SCALE pixels for each of the drawing's; the same drawing gives the same bytes."""
    zoom = SCALE * _SMOOTH
    size = (round(picture.width) * zoom, round(picture.height + HEADER) * zoom)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    for part in picture.body:
        _shape(draw, part, zoom)
    small = canvas.reduce(_SMOOTH)
    draw = ImageDraw.Draw(small)
    for part in (*picture.body, picture.header()):
        if isinstance(part, Label):
            _word(draw, part)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
