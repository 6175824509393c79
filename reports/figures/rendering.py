"""From an Altair chart to its specification, and from that to SVG, PNG and PDF; without network.

The bytes are equal for equal specifications. Of names in letters that Liberation does not have, such as Chinese, the
PDF may number its fonts either way.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import altair as alt
import vl_convert  # type: ignore[import-untyped,unused-ignore]

from ...core.errors import ConfigError
from ..text import escape
from .drawing import Drawing, Spec, titled
from .fields import ROWS, Figure
from .theme import COLUMN, FILE, PAGE_HEIGHT, PAPER, TWO_COLUMNS, Look

Chart = (
    alt.Chart
    | alt.LayerChart
    | alt.FacetChart
    | alt.HConcatChart
    | alt.VConcatChart
    | alt.ConcatChart
    | alt.RepeatChart
)
VEGA_LITE = "6.4"
"""The version that the files are drawn with, and the page."""
LARGE = 2_000_000
"""Pixels of an SVG from which on it gets no PNG: as many as a screen has, of which a PNG has four times as many."""
_ATTEMPTS = 4
_LEAST = 90.0
_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"')
_RESOURCES = re.compile(rb"(?m)(?:^ +/\w+ \d+ 0 R\n)+")


def drawing_of(chart: object, name: str) -> Drawing:
    """Take a chart's specification apart.

    Args:
        chart: of Altair, with a title, or a `Figure` of it; ``description``: the caption, ``name``: of its files,
            ``usermeta``: under ``records`` the keys of the records that it shows.
        name: of its files where the chart has none.

    Raises:
        ConfigError: it is no chart, or has no title.
        altair.SchemaValidationError: it is not valid Vega-Lite.
    """
    rows, keys = (chart.rows, chart.keys) if isinstance(chart, Figure) else ((), ())
    chart = chart.chart if isinstance(chart, Figure) else chart
    if not isinstance(chart, Chart):
        raise ConfigError(f"a figure must be an Altair chart or None, got {chart!r}")
    with alt.data_transformers.enable("default", max_rows=None):
        spec: Spec = _clean(chart.to_dict())
    title = spec.pop("title", "")
    words = title if isinstance(title, dict) else {"text": title}
    if not words.get("text"):
        raise ConfigError("a figure must have a title, got none; write chart.properties(title='what it shows')")
    meta = spec.pop("usermeta", {})
    if rows:
        spec["datasets"] = {**spec.get("datasets", {}), ROWS: _clean([*rows])}
    return Drawing(
        name=f"figure-{spec.pop('name', name)}",
        title=_line(words["text"]),
        where=_line(words.get("subtitle", "")),
        caption=spec.pop("description", ""),
        keys=keys or tuple(meta.get("records", ())),
        spec={key: value for key, value in spec.items() if key not in ("$schema", "config")},
    )


def _line(text: str | list[str]) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _clean(value: Any) -> Any:
    """Names may hold control characters, which no SVG can."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return escape.clean(value) if isinstance(value, str) and not value.isprintable() else value


def svg(spec: Spec, look: Look) -> str:
    """Draw a specification; what it leaves to the configuration is as ``look`` says.

    Raises:
        ValueError: Vega cannot draw it.
    """
    return _svg(json.dumps({**spec, "config": look.config()}))


@lru_cache(maxsize=64)
def _svg(text: str) -> str:
    return str(vl_convert.vegalite_to_svg(text, vl_version=VEGA_LITE, allowed_base_urls=[]))


def png(drawn: str) -> bytes | None:
    """Return an SVG as PNG, at two pixels for each of its; None for one of `LARGE` or more."""
    width, height = (float(n) for n in _SIZE.findall(drawn)[0])
    return bytes(vl_convert.svg_to_png(drawn, scale=2)) if width * height < LARGE else None


def pdf(drawn: str) -> bytes:
    """Return an SVG as PDF of one page; its resources, which come in any order, are sorted."""
    return _RESOURCES.sub(lambda found: b"".join(sorted(found[0].splitlines(True))), vl_convert.svg_to_pdf(drawn))


def drawn_files(drawing: Drawing) -> dict[str, str]:
    """Draw each file of a figure, titled.

    Returns:
        The SVG by file name without ending.
    """
    return {name: svg(titled(spec, drawing.title, drawing.where, words), FILE) for name, words, spec in drawing.files()}


def column_files(drawing: Drawing) -> dict[str, str]:
    """Draw each file of a figure as wide as a column of a paper, without title, which the caption has."""
    return {name: svg(in_a_column(spec), PAPER) for name, _, spec in drawing.files()}


def in_a_column(spec: Spec) -> Spec:
    """Return a specification that is as wide as a column of a paper, drawn with `theme.PAPER`.

    Panels stand below each other, legends below them, and what axes and labels take is subtracted from the panels. Where
    that leaves less than 90 points, the figure is as wide as two columns; where it is higher than a page, too, and two
    panels stand side by side.
    """
    small, narrow = _shrunk(spec), spec
    for total, beside in ((COLUMN, 1), (TWO_COLUMNS, 1), (TWO_COLUMNS, 2)):
        narrow, width, height = _fitted(small, total, beside)
        if width >= _LEAST and height <= PAGE_HEIGHT:
            break
    return narrow


def _fitted(spec: Spec, total: float, beside: int) -> tuple[Spec, float, float]:
    """The specification with so many panels side by side, as wide as ``total``; width of a panel, height of the figure."""
    width = (total - 60.0) / beside
    for _ in range(_ATTEMPTS):
        narrow = _narrowed(spec, max(width, _LEAST), beside)
        across, height = (float(n) for n in _SIZE.findall(svg(narrow, PAPER))[0])
        hopeless = beside == 1 and height > PAGE_HEIGHT
        if 0 <= total - across < beside or width < _LEAST or hopeless:
            break
        width -= (across - total) / beside
    return narrow, width, height


def _shrunk(value: Any) -> Any:
    """Heights and marks in proportion to letters of 8 points."""
    if isinstance(value, list):
        return [_shrunk(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: item if key == "datasets" else _shrunk(item) for key, item in value.items()}
    for key, factor in (("height", 0.62), ("step", 0.62), ("size", 0.45), ("thickness", 0.62)):
        if isinstance(out.get(key), (int, float)):
            out[key] = round(factor * out[key], 1)
    return out


def _narrowed(spec: Spec, width: float, beside: int) -> Spec:
    """The specification with so many panels side by side, each so wide."""
    out = dict(spec)
    if "columns" in out:
        out["columns"] = beside
    if isinstance(out.get("width"), (int, float)):
        out["width"] = width
    for part in ("spec", "layer", "vconcat", "hconcat", "concat"):
        if isinstance(out.get(part), dict):
            out[part] = _narrowed(out[part], width, beside)
        elif part in out:
            out[part] = [_narrowed(own, width, beside) for own in out[part]]
    return out
