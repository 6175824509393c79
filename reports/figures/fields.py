"""What one figure shows: the data sets of one model and protocol, each a panel or a colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from ...bench.results.record import quantizer_label
from ..frames.columns import Section
from ..frames.cube import Cube, Method
from ..frames.results import Results

Rows = Sequence[Mapping[str, Any]]
PANEL = "panel"
"""The field that tells panels apart."""
ROWS = "rows"
"""Name of the data of `panels`: attached last, since Altair copies a chart whole at each step."""
_WIDE, _TWO = 520, 360


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with what Altair need not look through.

    Attributes:
        chart: without the data called `ROWS`.
        rows: these data; none where the chart has its own.
        keys: the records it shows.
    """

    chart: alt.TopLevelMixin
    rows: Rows
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Field:
    """Sections that one figure shows.

    Attributes:
        results: of the run folder.
        name: part of a file name.
        where: data sets, model and protocol, in words.
        sections: one of each data set.
    """

    results: Results
    name: str
    where: str
    sections: tuple[Section, ...]

    def panel(self, section: Section, *further: str) -> str:
        """Name a panel by its data set, if there are several, and by what else tells panels apart."""
        return ", ".join([*([section[0]] if len(self.sections) > 1 else []), *further])

    @property
    def cubes(self) -> list[tuple[Section, Cube]]:
        """Return the accuracies of each section."""
        return [(section, self.results.cubes[section]) for section in self.sections]

    @property
    def domains(self) -> int:
        """Count the target domains."""
        return sum(len(cube.targets) for _, cube in self.cubes)

    @property
    def quantizers(self) -> list[str]:
        """Return the quantizers in reading order, whose places are their colours in every figure."""
        return [*dict.fromkeys(quantizer_label(m[1], m[2]) for _, cube in self.cubes for m in cube.methods)]

    @property
    def _keys(self) -> list[str]:
        return [*dict.fromkeys(key for _, cube in self.cubes for key in cube.keys_of(*cube.methods))]

    def finished(self, chart: alt.TopLevelMixin, name: str, title: str, *, caption: str, rows: Rows = ()) -> Figure:
        """Give a chart its name, title, caption, records and, if it is one of `panels`, its rows."""
        own: Any = chart
        heading = alt.Title(title, subtitle=self.where)
        named = own.properties(name=f"{name}-{self.name}", title=heading, description=caption)
        return Figure(chart=named, rows=rows, keys=tuple(self._keys))


def fields(results: Results) -> list[Field]:
    """List what is drawn together, that with the most target domains first, as the answer has it."""
    out: list[Field] = []
    for line_up, name in zip(results.line_ups, results.line_up_names, strict=True):
        out.append(Field(results=results, name=name, where=line_up.scope, sections=line_up.sections))
    shown = {section for field in out for section in field.sections}
    out += [alone(results, section) for section in results.section_names if section not in shown]
    return sorted(out, key=lambda field: -field.domains)


def alone(results: Results, section: Section) -> Field:
    """Return the field of one section."""
    return Field(results=results, name=results.section_names[section], where=", ".join(section), sections=(section,))


def legend_of(rows: Rows, names: Sequence[str], **look: Any) -> alt.Legend:
    """Return a legend of the ``names`` that are `there`."""
    return alt.Legend(title="quantizer", values=there(rows, names), **look)


def there(rows: Rows, names: Sequence[str]) -> list[str]:
    """Return those ``names``, in their order, that the field ``quantizer`` of a row has."""
    shown = {row["quantizer"] for row in rows}
    return [name for name in names if name in shown]


def coloured(names: Sequence[str], legend: alt.Legend | None) -> alt.Color:
    """Return the colour of the field ``quantizer``, by its place in ``names``."""
    return alt.Color("quantizer:N", scale=alt.Scale(domain=[*names]), legend=legend)


def highlighted(picked: alt.Parameter) -> Any:
    """Return the opacity of marks: those that are not picked in the legend fade."""
    return alt.condition(picked, alt.value(1), alt.value(0.12))


def whole(cube: Cube, selection: str) -> Iterator[tuple[Method, np.ndarray[Any, np.dtype[np.float64]]]]:
    """Yield each method of a selection that has every cell, with its accuracies in percent."""
    for i, method in enumerate(cube.methods):
        if method[3] == selection and np.isfinite(cube.accuracy[i]).all():
            yield method, cube.accuracy[i]


def panels(
    chart: alt.TopLevelMixin,
    rows: Rows,
    *,
    height: int | alt.Step,
    columns: int = 2,
    choice: str = "",
    **shared: Any,
) -> alt.TopLevelMixin:
    """Draw ``chart`` of these rows once for each value of `PANEL`; a single one has no heading.

    Args:
        chart: without data.
        rows: what it shows.
        height: of a panel, pixels or so much for each of its rows.
        columns: how many panels stand side by side.
        choice: field of the rows by whose values a drop-down list chooses, if there are several.
        shared: ``x="independent"`` or ``y="independent"`` where panels do not share an axis.
    """
    names = [*dict.fromkeys(row[PANEL] for row in rows)]
    width = _TWO if columns > 1 and len(names) > 1 else _WIDE
    drawn: Any = chart.properties(width=width, height=height)
    listed = _drop_down(choice, [*dict.fromkeys(row[choice] for row in rows)]) if choice else None
    if listed is not None:
        drawn = drawn.transform_filter(f"datum['{choice}'] == {listed.name}")
    data = alt.NamedData(name=ROWS)
    if len(names) == 1:
        drawn = drawn.properties(data=data)
    else:
        facet = alt.Facet(f"{PANEL}:N", title=None, sort=names, header=alt.Header(labelAnchor="start"))
        drawn = drawn.facet(facet, data=data, columns=columns).resolve_scale(**shared)
    return drawn if listed is None else drawn.add_params(listed)  # type: ignore[no-any-return]


def _drop_down(name: str, options: list[str]) -> alt.Parameter | None:
    if len(options) < 2:
        return None
    bound = alt.binding_select(options=options, name=f"{name} ")
    return alt.param(name=f"shown_{name.replace(' ', '_')}", value=options[0], bind=bound)
