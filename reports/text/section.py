"""The part of a page between two markers that is written from records."""

from __future__ import annotations

from pathlib import Path

from ...bench.results.files import write_atomic
from ...bench.results.folder import read_text
from ...core.errors import ConfigError


def with_section(page: str, body: str, part: str, name: str) -> str:
    """Return a Markdown page with a body between the markers of a part in place of what was there.

    Args:
        page: the text.
        body: Markdown.
        part: what the markers call it, ``<!-- PART -->`` and ``<!-- end of PART -->``.
        name: of the page, for the error.

    Raises:
        ConfigError: the markers are not there, each once and in order.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended or begin in rest or end in before + after:
        raise ConfigError(f"the part to rewrite lies between two lines, {begin} and {end}; write both once into {name}")
    return f"{before}{begin}\n\n{body.rstrip()}\n\n{end}{after}"


def rewrite(page: Path, body: str, part: str) -> None:
    """Rewrite a part of a page, as `with_section` has it."""
    write_atomic(page, with_section(read_text(page), body, part, str(page)))
