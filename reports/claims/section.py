"""The part of a page between two markers that is written from records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...bench.results.files import write_atomic
from ...core.errors import ConfigError
from ..tables.table import Table

BEGIN, END = "<!-- claims -->", "<!-- end of claims -->"


def with_section(page: str, tables: Iterable[Table], name: str) -> str:
    """Return a Markdown page with the tables between its markers in place of what was there.

    Args:
        page: the text.
        tables: in order.
        name: of the page, for the error.

    Raises:
        ConfigError: the markers are not there, each once and in order.
    """
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended or BEGIN in rest or END in before + after:
        raise ConfigError(f"the part to rewrite lies between two lines, {BEGIN} and {END}; write both once into {name}")
    body = "\n".join(table.markdown(level=2) for table in tables)
    return f"{before}{BEGIN}\n\n{body}\n{END}{after}"


def rewrite(page: Path, tables: Iterable[Table]) -> None:
    """Rewrite a page's part between the markers."""
    text = page.read_text(encoding="utf-8")
    write_atomic(page, with_section(text, tables, str(page)))
