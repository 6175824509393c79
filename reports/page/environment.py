"""The templates of the page and of the cells' pages, which escape every value."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..text import escape


def _shown(value: object) -> object:
    """Prepare a template's value before it is escaped: one line without control characters, unless it is HTML."""
    return value if isinstance(value, Markup) else escape.clean(value)


def _integrity(script: str) -> str:
    """Return what a content security policy names an inline script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _lines(text: str) -> Markup:
    """Return a text of several lines, escaped, its line breaks kept."""
    return Markup("\n").join(escape.clean_line(line) for line in text.splitlines())


@cache
def templates() -> Environment:
    """Return the environment that all pages are rendered in."""
    made = Environment(
        loader=PackageLoader("quantdg.reports.page"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["integrity"] = _integrity
    made.filters["lines"] = _lines
    return made
