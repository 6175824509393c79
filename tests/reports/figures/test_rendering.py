"""A figure as files: the same bytes twice, a PDF of one page, a PNG that is not blank, nothing from outside."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pytest
from PIL import Image

from quantdg.bench.results.store import RunStore
from quantdg.core.errors import ConfigError
from quantdg.reports.figures import rendering
from quantdg.reports.figures.drawing import Drawing
from quantdg.reports.figures.theme import COLUMN, FILE, LIGHT, PAGE, PAPER
from quantdg.reports.report import Report

HOSTILE = "</text><script>alert(1)</script> & \x1b[31m 漢"


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    """Two panels of 20 methods, and a choice."""
    rows = [
        {"m": f"method {i}", "x": i, "y": i % 7, "panel": "a" if i % 2 else HOSTILE, "of": "ab"[i % 2]}
        for i in range(20)
    ]
    shown = alt.param(name="shown", value="a", bind=alt.binding_select(options=["a", "b"], name="of "))
    marks = alt.Chart().mark_point(filled=True, opacity=1).encode(x="x:Q", y="y:Q", color=alt.Color("m:N", sort=None))
    chart = marks.transform_filter("datum.of == shown || true").properties(width=360, height=150)
    faceted = chart.facet("panel:N", data=alt.InlineData(values=rows), columns=2).add_params(shown)
    return rendering.drawing_of(faceted.properties(title=alt.Title(HOSTILE, subtitle="where")), "mine")


def test_svg_stands_alone_whatever_the_names_hold(drawing: Drawing) -> None:
    files = rendering.drawn_files(drawing)
    assert [*files] == ["figure-mine-a", "figure-mine-b"]
    root = ElementTree.fromstring(files["figure-mine-b"])
    assert "script" not in {element.tag.split("}")[1] for element in root.iter()}
    words = [*root.itertext()]
    assert {"where", "of b", *(f"method {i}" for i in range(20))} <= {*words}  # a legend drops none
    assert any(word.startswith("</text><script>") for word in words)
    assert "font-family" in files["figure-mine-a"] and "Liberation Sans" in files["figure-mine-a"]


def test_the_same_chart_gives_the_same_bytes(golden: RunStore) -> None:
    first = Report.of(golden.root).drawings[0]
    ((_, _, spec),) = first.files()
    once, again = (rendering._svg.__wrapped__(rendering.json.dumps({**spec, "config": FILE.config()})) for _ in "ab")
    assert once == again
    assert rendering.png(once) == rendering.png(again)
    assert len({rendering.pdf(once) for _ in range(4)}) == 1


def test_png_and_pdf_are_of_the_size_of_the_svg_and_not_blank(drawing: Drawing) -> None:
    svg = rendering.drawn_files(drawing)["figure-mine-a"]
    width, height = (float(n) for n in re.findall(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"', svg)[0])
    image = Image.open(io.BytesIO(rendering.png(svg) or b"")).convert("RGB")
    assert image.size == (2 * width, 2 * height)
    colours = {tuple(c) for c in np.asarray(image).reshape(-1, 3)}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in LIGHT} <= colours
    pdf = rendering.pdf(svg)
    assert pdf.startswith(b"%PDF")
    assert f"/MediaBox [0 0 {width:g} {height:g}]".encode() in pdf
    assert b"+LiberationSans" in pdf
    assert rendering.png(svg.replace(f'height="{height:g}"', 'height="3000"', 1)) is None  # larger than a screen


def test_a_column_of_a_paper_is_exactly_as_wide(drawing: Drawing) -> None:
    for svg in rendering.column_files(drawing).values():
        width = float(re.findall(r'<svg[^>]*? width="([\d.]+)"', svg)[0])
        assert width == COLUMN
        assert {*re.findall(r'font-size="([\d.]+)px"', svg)} <= {"8", "9"}
        assert "where" not in svg  # the paper's caption says it


def test_nothing_is_loaded_from_outside() -> None:
    chart = alt.Chart("https://example.org/data.csv").mark_point().encode(x="x:Q").properties(title="t")
    drawing = rendering.drawing_of(chart, "outside")
    with pytest.raises(ValueError, match=r"example\.org"):
        rendering.svg(drawing.spec, FILE)


@pytest.mark.parametrize(
    ("chart", "reason"),
    [(3, "must be an Altair chart or None, got 3"), (alt.Chart().mark_point(), "must have a title, got none; write")],
)
def test_what_is_no_figure_is_refused(chart: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        rendering.drawing_of(chart, "x")


def test_colours_can_be_told_from_the_background() -> None:
    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colour in (*LIGHT, FILE.muted, FILE.ink, PAPER.muted):
        assert 1.05 / (luminance(colour) + 0.05) >= 3, colour
    assert len({*LIGHT}) == len(PAGE.series) == 16


def test_a_verdict_does_not_wait_for_altair(golden: RunStore) -> None:
    code = (
        "import sys; from quantdg.core.cli import main; main(['verdict', sys.argv[1]]);"
        "assert not {'altair', 'vl_convert', 'torch'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code, str(golden.root)], check=True, stdout=subprocess.DEVNULL)
