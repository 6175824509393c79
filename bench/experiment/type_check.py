"""Whether a setting from the configuration has the type that is written beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ...core.errors import ConfigError, UnknownNameError
from ...core.numbers import check_numbers
from .signature import free_parameters, parameters_of

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    NoneType: "null",
    Path: "a path",
}
_ACCEPTED: dict[Any, tuple[type, ...]] = {kind: (kind,) for kind in _WORDS} | {float: (int, float), Path: (str, Path)}
_LISTS = (list, tuple, Sequence)


def hints_of(kind: Callable[..., Any]) -> dict[str, Any]:
    """Return annotations of a function's or a class's arguments; those that cannot be evaluated are left out."""
    parameters, _ = parameters_of(kind)
    return {
        name: p.annotation
        for name, p in parameters.items()
        if p.annotation is not p.empty and not isinstance(p.annotation, str)
    }


def check_settings(what: str, kind: Callable[..., Any], values: Mapping[str, Any], group: str = "") -> None:
    """Raise ConfigError for a value that is not taken by this name, or is taken of another type.

    Where a ``group`` is named, what the harness hands over to its parts itself cannot be set either.
    """
    known = free_parameters(group, kind)
    if not parameters_of(kind)[1]:
        for name in values:
            if name not in known:
                raise UnknownNameError(f"setting of {what}", name, known)
    check_types(what, hints_of(kind), values)


def check_types(what: str, hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raise ConfigError for the first value that is not finite or not as annotated; only plain data is checked."""
    for name, value in values.items():
        check_numbers(f"{what}.{name}", value)
        if name in hints and not fits_type(value, hints[name]):
            raise ConfigError(f"{what}.{name} must be {words_of(hints[name])}, got {value!r}")


def fits_type(value: Any, kind: Any) -> bool:
    """Say whether plain data has an annotated type; an annotation that is no plain type takes anything."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits_type(value, k) for k in inner)
    if origin is Literal:
        return any(type(value) is type(k) and value == k for k in inner)
    if origin in _LISTS or kind in _LISTS:
        wanted = inner[0] if inner else Any
        return isinstance(value, (list, tuple)) and all(fits_type(v, wanted) for v in value)
    if origin is Mapping or origin is dict:
        return isinstance(value, Mapping)
    if kind in _ACCEPTED:
        return isinstance(value, _ACCEPTED[kind]) and isinstance(value, bool) <= (kind is bool)
    return True


def words_of(kind: Any) -> str:
    """Return a type as a reader of settings calls it, for example ``a whole number or null``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(words_of(k) for k in inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in _LISTS or kind in _LISTS:
        return f"a list, each {words_of(inner[0])}" if inner else "a list"
    if origin is Mapping or origin is dict:
        return "settings"
    if is_dataclass(kind):
        return "settings"
    return _WORDS.get(kind, str(kind))
