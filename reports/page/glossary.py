"""The page's glossary: what its columns mean, each sentence once, with the place that headings point to."""

from __future__ import annotations

from collections.abc import Iterable

from ..tables.glossary import explained
from ..tables.table import Table


class Glossary:
    """Sentences of columns, each with an id that is unique in the page."""

    def __init__(self, tables: Iterable[Table]) -> None:
        """Collect what the columns of ``tables`` mean, by name."""
        found = {pair for table in tables for pair in explained(table).items()}
        self._ids = {pair: f"g{i}" for i, pair in enumerate(sorted(found, key=lambda pair: (pair[0].casefold(), pair)))}

    def of(self, table: Table) -> dict[str, str]:
        """Return the id of the sentence of each column that has one."""
        return {column: self._ids[column, sentence] for column, sentence in explained(table).items()}

    @property
    def entries(self) -> dict[str, list[tuple[str, str]]]:
        """Return (id, sentence) by column: several where it means different things in different tables."""
        out: dict[str, list[tuple[str, str]]] = {}
        for (column, sentence), place in self._ids.items():
            out.setdefault(column, []).append((place, sentence))
        return out
