"""Runs the parts of a report: each table and figure is made, checked and rendered, or a line says why it is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Literal, NamedTuple

from ..core.errors import ConfigError
from .figures.drawing import Drawing
from .frames.columns import ACROSS
from .frames.results import Results
from .plugins import Problem, attempt, parts
from .tables.table import Table

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
Style = Literal["screen", "paper"]
"""Of figures: for a screen, or for a column of a paper."""
RESERVED = ("report", "provenance", "problems")


class Drawn(NamedTuple):
    """A figure together with its SVG files."""

    drawing: Drawing
    svg: dict[str, str]


def _check_name(name: object, taken: Collection[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"the name of a table or figure becomes a file name: lower-case letters, digits, '.', '_' and '-', got {name!r}"
        )
    if name in RESERVED or name.startswith("verdict-") or name in taken:
        raise ConfigError(f"the name {name!r} is taken; write another one, for example 'my-{name}'")


def _tables(make: Callable[[Results], Iterable[object]], results: Results, taken: Collection[str]) -> dict[str, Table]:
    out: dict[str, Table] = {}
    for table in make(results):
        if not isinstance(table, Table):
            raise ConfigError(f"a table must be a {Table.__module__}.Table, got {table!r}")
        _check_name(table.name, {*taken, *out})
        for render in (table.markdown, table.csv, table.latex):
            render()
        out[table.name] = table
    return out


def _figures(
    draw: Callable[[Results], object], results: Results, taken: Collection[str], default: str
) -> dict[str, Drawn]:
    from .figures.rendering import Chart, drawing_of, drawn_files  # noqa: PLC0415 - a verdict does not wait for Altair

    made = draw(results)
    charts = [] if made is None else [made] if isinstance(made, Chart) or not isinstance(made, Iterable) else [*made]
    out: dict[str, Drawn] = {}
    for chart in charts:
        drawing = drawing_of(chart, default)
        files = drawn_files(drawing)
        for name in dict.fromkeys([drawing.name, *files]):
            _check_name(name, {*taken, *(used for drawn in out.values() for used in drawn.svg)})
        out[drawing.name] = Drawn(drawing, files)
    return out


def collect_tables(results: Results) -> tuple[list[Table], list[Problem]]:
    """Make all tables that have content: across sections, section by section, then the rest; and say what failed."""
    made: dict[str, Table] = {}
    problems: list[Problem] = []
    for part in parts("table"):
        found, failed = attempt(part, partial(_tables, results=results, taken=tuple(made)))
        made |= found or {}
        problems += failed
    place: dict[object, int] = {section: i for i, section in enumerate((ACROSS, *results.section_names))}
    return sorted(made.values(), key=lambda table: place.get(table.section, len(place))), problems


def collect_figures(results: Results) -> tuple[list[Drawn], list[Problem]]:
    """Draw all figures, in the order of their parts, and say which parts failed."""
    made: dict[str, Drawn] = {}
    problems: list[Problem] = []
    for part in parts("figure"):
        taken = [*made, *(name for drawn in made.values() for name in drawn.svg)]
        found, failed = attempt(part, partial(_figures, results=results, taken=taken, default=part.name))
        made |= found or {}
        problems += failed
    return [*made.values()], problems


def figure_files(drawn: Drawn, style: Style) -> dict[str, str | bytes]:
    """Return the contents of a figure's files by their names; a large figure has no PNG, and for a paper none has one."""
    from .figures.rendering import column_files, pdf, png  # noqa: PLC0415 - a verdict does not wait for Altair

    files: dict[str, str | bytes] = {}
    for name, svg in (drawn.svg if style == "screen" else column_files(drawn.drawing)).items():
        files |= {f"{name}.svg": svg, f"{name}.pdf": pdf(svg)}
        image = png(svg) if style == "screen" else None
        if image is not None:
            files[f"{name}.png"] = image
    return files
