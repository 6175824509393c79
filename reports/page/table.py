"""A table of the report as the page shows it: sortable, filterable, every accuracy traceable to its records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..tables.table import Table
from .places import Places

_NUMBER = re.compile(r"^[<+]?\s?([-+]?[\d,]*\.?\d+)")
_WIDE = ("reason", "values (records)", "which", "machine", "measured")
_FEW = 4
_PRINTED = ("field-", "verdict-gain-", "verdict-controls-", "accuracy-", "size-", "deployed-size-", "deployed-latency-")


Cell = tuple[str, str, str, str]
"""A text, its CSS class or none, the number to sort it by or none, and the records behind it as of `Places`."""


class Head(NamedTuple):
    """A column's heading; ``named`` where the column holds names, not values; ``kind``: CSS class of its cells.

    ``about`` is the id of the sentence that explains it, or none.
    """

    text: str
    named: bool
    kind: str
    about: str


@dataclass(frozen=True)
class PageTable:
    """What templates/table.html shows; plain text, escaped there.

    Attributes:
        table: of the report.
        id: of the element, unique in the page, letters, digits and dashes.
        places: of the page; whatever the table leads to is in it after the rows.
        about: id of the sentence that explains a column, by its name.
    """

    table: Table
    id: str
    places: Places
    about: Mapping[str, str]

    @property
    def filtered(self) -> bool:
        """Say whether it is long enough for a field that filters its rows."""
        return len(self.table.text) > _FEW

    @property
    def heads(self) -> list[Head]:
        """Return its columns."""
        names = [(str(column), i < self.table.labels) for i, column in enumerate(self.table.text.columns)]
        return [
            Head(c, named, "wide" if c in _WIDE else "name" if named else "", self.about.get(c, ""))
            for c, named in names
        ]

    @property
    def printed(self) -> bool:
        """Say whether a print shows it unfolded."""
        return self.table.name.startswith(_PRINTED)

    @property
    def rows(self) -> Iterator[list[Cell]]:
        """Return its cells, made when they are asked for: a large page has 100,000 of them."""
        heads, traces = self.heads, {at: self.places.of(keys) for at, keys in self.table.traces.items()}
        for r, values in enumerate(self.table.text.to_numpy().tolist()):
            yield [_cell(str(v), head, traces.get((r, head.text), "")) for head, v in zip(heads, values, strict=True)]


def _cell(text: str, head: Head, places: str) -> Cell:
    found = None if head.named else _NUMBER.match(text)
    return text, head.kind, found.group(1).replace(",", "") if found else "", places
