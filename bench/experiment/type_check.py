"""Whether a setting from the configuration has the type that is written beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ...core.errors import ConfigError, UnknownNameError

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    NoneType: "null",
}
_ACCEPTED: dict[Any, tuple[type, ...]] = {kind: (int, float) if kind is float else (kind,) for kind in _WORDS}
_LISTS = (list, tuple, Sequence)


def hints_of(kind: Callable[..., Any]) -> dict[str, Any]:
    """Return annotations of a function's or a class's arguments; empty where they cannot be evaluated."""
    try:
        parameters = inspect.signature(kind, eval_str=True).parameters.values()
    except (NameError, TypeError, ValueError):
        return {}
    return {p.name: p.annotation for p in parameters if p.annotation is not p.empty}


def check_settings(what: str, kind: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise ConfigError for a value that is not taken by this name, or is taken of another type."""
    parameters = inspect.signature(kind).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in values:
            if name not in parameters:
                raise UnknownNameError(f"setting of {what}", name, parameters)
    check_types(what, hints_of(kind), values)


def check_types(what: str, hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raise ConfigError for the first value that does not fit its annotation; only plain data is checked."""
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{what}.{name} must be {_words(hints[name])}, got {value!r}")


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, k) for k in inner)
    if origin is Literal:
        return any(type(value) is type(k) and value == k for k in inner)
    if origin in _LISTS or kind in _LISTS:
        wanted = inner[0] if inner else Any
        return isinstance(value, (list, tuple)) and all(_fits(v, wanted) for v in value)
    if origin is Mapping or origin is dict:
        return isinstance(value, Mapping)
    if kind in _ACCEPTED:
        return isinstance(value, _ACCEPTED[kind]) and isinstance(value, bool) <= (kind is bool)
    return True


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(k) for k in inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in _LISTS or kind in _LISTS:
        return f"a list, each {_words(inner[0])}" if inner else "a list"
    if origin is Mapping or origin is dict:
        return "settings"
    return _WORDS.get(kind, str(kind))
