"""Runs the parts of a report: each table and figure is made, checked and rendered, or a line says why it is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from ..core.errors import ConfigError
from .figures.png import png
from .figures.svg import Picture
from .frames.columns import ACROSS, Section
from .frames.results import Results
from .plugins import Kind, Problem, attempt, parts
from .tables.table import Table

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
RESERVED = ("report", "provenance", "problems")
Piece = TypeVar("Piece", Table, "Drawn")
MadeBy = Callable[..., dict[str, Piece]]
"""From a part's function, the results and the names taken to checked pieces by name."""


class Drawn(NamedTuple):
    """A figure together with the contents of its files."""

    picture: Picture
    svg: str
    png: bytes

    @property
    def section(self) -> Section | None:
        """Return the (data set, model, protocol) it stands with; None puts it after all sections."""
        return self.picture.section


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


def _figures(draw: Callable[[Results], object], results: Results, taken: Collection[str]) -> dict[str, Drawn]:
    made = draw(results)
    if not isinstance(made, Mapping):
        raise ConfigError(f"a figure's function must return pictures by file name, a dict, got {made!r}")
    out: dict[str, Drawn] = {}
    for name, picture in made.items():
        _check_name(name, {*taken, *out})
        if not isinstance(picture, Picture):
            raise ConfigError(f"figure {name} must be a quantdg.reports.figures.svg.Picture, got {picture!r}")
        out[name] = Drawn(picture, picture.standalone(), png(picture))
    return out


def _collect(kind: Kind, results: Results, made_by: MadeBy[Piece]) -> tuple[dict[str, Piece], list[Problem]]:
    """All pieces of one kind by name: across sections, section by section, then the rest; and what failed."""
    made: dict[str, Piece] = {}
    problems: list[Problem] = []
    for part in parts(kind):
        found, failed = attempt(part, partial(made_by, results=results, taken=tuple(made)))
        made |= found or {}
        problems += failed
    place: dict[object, int] = {section: i for i, section in enumerate((ACROSS, *results.section_names))}
    ordered = sorted(made, key=lambda name: place.get(made[name].section, len(place)))
    return {name: made[name] for name in ordered}, problems


def collect_tables(results: Results) -> tuple[list[Table], list[Problem]]:
    """Make all tables that have content, in reading order, and say which parts failed."""
    made, problems = _collect("table", results, _tables)
    return [*made.values()], problems


def collect_figures(results: Results) -> tuple[dict[str, Drawn], list[Problem]]:
    """Draw all figures, by file name in reading order, and say which parts failed."""
    return _collect("figure", results, _figures)
