"""A drawing as a file: the SVG parses and stands alone, the PNG has the same things at the same places."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageColor

from quantdg.bench.results.store import RunStore
from quantdg.reports.figures.png import SCALE, png
from quantdg.reports.figures.svg import COLOURS, HEADER, INK, SHAPES, Label, Line, Mark, Path, Picture
from quantdg.reports.report import Report

HOSTILE = "</text><script>alert(1)</script> & \x1b[31m 漢"


@pytest.fixture
def picture() -> Picture:
    """One of everything."""
    marks = tuple(Mark(40.0 + 30 * i, 40, i, f"mark {i}") for i in range(len(SHAPES)))
    lines = (Line(20, 80, 180, 80, "mean"), Path(((20, 100), (180, 100)), "series s1"), Line(200, 10, 200, 90, "zero"))
    return Picture(240, 120, HOSTILE, HOSTILE, (*marks, *lines, Label(20, 60, HOSTILE)))


def test_svg_stands_alone_whatever_the_names_hold(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.standalone())
    tags = [element.tag.split("}")[1] for element in root.iter()]
    assert "script" not in tags
    assert (tags.count("line"), tags.count("polyline"), tags.count("path")) == (2, 1, len(SHAPES))
    assert root.attrib["height"] == f"{120 + HEADER}"


def test_png_has_each_mark_and_line_in_its_colour_at_its_place(picture: Picture) -> None:
    image = Image.open(io.BytesIO(png(picture))).convert("RGB")
    assert image.size == (240 * SCALE, (120 + HEADER) * SCALE)

    def at(x: float, y: float) -> object:
        return image.getpixel((round(x * SCALE), round((y + HEADER) * SCALE)))

    for mark in picture.body:
        if isinstance(mark, Mark):
            assert at(mark.x, mark.y) == ImageColor.getrgb(COLOURS[mark.colour])
    assert at(100, 80) == ImageColor.getrgb(INK)
    assert at(100, 100) == ImageColor.getrgb(COLOURS[1])
    assert at(230, 115) == (255, 255, 255)
    dashes = [at(200, y) != (255, 255, 255) for y in range(10, 90)]
    assert 0.4 < sum(dashes) / len(dashes) < 0.75


def test_every_picture_of_a_report_can_be_drawn_and_twice_the_same(golden: RunStore) -> None:
    report = Report.of(golden.root)
    (section,) = report.results.section_names.values()
    assert f"figure-gain-iid-{section}" in report.pictures
    for drawn in report.pictures.values():
        ElementTree.fromstring(drawn.standalone())
        assert png(drawn) == png(drawn)
