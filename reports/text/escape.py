"""Names come from configurations and folders, so they may hold anything: made safe for each output here."""

from __future__ import annotations

import re

_MARKDOWN = str.maketrans({"\\": "\\\\", "|": "\\|", "`": "\\`", "*": "\\*", "[": "\\["})
_HTML_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_HTML_ENTITY = re.compile(r"&(?=#?\w+;)")


def clean(text: object) -> str:
    """Return one line without control characters, so that a name can neither break a table nor steer a terminal."""
    plain = str(text)
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() else " " for c in plain)
    return " ".join(plain.split())


def clean_line(text: str) -> str:
    """Return one line without control characters, its blanks as they are."""
    return "".join(c if c.isprintable() else " " for c in text)


def markdown(text: object) -> str:
    """Escape a name for a Markdown table or paragraph."""
    safe = _HTML_TAG.sub("&lt;", _HTML_ENTITY.sub("&amp;", clean(text)))
    return safe.translate(_MARKDOWN)


def csv_cell(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; numbers pass."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def slug(text: object) -> str:
    """Return lower-case letters, digits and dashes for a file name; ``x`` where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:60] or "x"
