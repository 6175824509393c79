"""Words of the command line as Hydra's grammar takes them: paths and names of domains are text, whatever they look like."""

from __future__ import annotations

from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

PATHS = ("out", "data.root", "data.cache", "dataset.folder", "dataset.path", "dataset.duplicates")
NAMES = ("targets", "dataset.domains")
"""Domains are named after folders, which may be called 007 or 1e3."""
_ALONE = ("data", "dataset")
"""Groups whose settings may be for one data set alone, as in ``data.pacs.root``."""


def quote_words(words: Iterable[str]) -> list[str]:
    """Return the words with those values in quotation marks that Hydra would misread.

    A path may hold ``~ = ( ) [ ] #`` or letters beyond ASCII, and a domain may be called 1e3; neither is ever a number, a list
    or a call. Other values are quoted only where Hydra cannot read them and they are no list or dictionary.
    """
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    name, equals, value = word.partition("=")
    key = _for_all(name.lstrip("+"))
    if not equals or not key or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return word
    if key in PATHS:
        return f"{name}={_literal(value)}"
    if key in NAMES:
        return f"{name}={_names(value)}"
    return f"{name}={_literal(value)}" if value[0] not in "[{" and not _reads(word) else word


def _for_all(key: str) -> str:
    """The setting without the name of a data set."""
    group, *rest = key.split(".")
    return f"{group}.{rest[-1]}" if group in _ALONE and len(rest) == 2 else key


def _names(value: str) -> str:
    """A list of names, or one; anything else, such as one that has quotation marks already, as it is."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if any(mark in inner for mark in "'\"[]{}") or (inner is value and "," in value):
        return value
    names = [name.strip() for name in inner.split(",") if inner.strip()]
    return _literal(value) if inner is value else f"[{','.join(map(_literal, names))}]"


def _literal(text: str) -> str:
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _reads(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True
