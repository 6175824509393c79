"""The JSON of records: read with the types that their dataclasses declare, written as it always was. Imports no torch.

msgspec reads. The json module writes, since files of equal content are equal byte for byte in every version: msgspec
writes 5e-05 as 0.00005, does not escape what is beyond ASCII, and makes null of a number that is not finite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from ...core.errors import RecordError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    D = TypeVar("D", bound=DataclassInstance)

MOST_NAMED = 3
NO_MORE: frozenset[str] = frozenset()
WRONG = (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What decoding raises, and looking into JSON that has another form."""


class Schema(msgspec.Struct):
    """The schema of a record, which may hold more."""

    schema: int


def _strict(hint: Any) -> Any:
    """Return the type with a struct in place of each dataclass."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct(hint, NO_MORE)
    given = get_args(hint)
    inner = tuple(map(_strict, given))
    if inner == given:
        return hint
    return reduce(or_, inner) if get_origin(hint) is UnionType else get_origin(hint)[inner]  # pyright: ignore[reportOptionalSubscript]


@cache
def _struct(kind: type[DataclassInstance], required: frozenset[str]) -> type[msgspec.Struct]:
    """Make the struct of a dataclass: its fields and no others, those ``required`` without a default."""
    hints, own = get_type_hints(kind), []
    for field in fields(kind):
        default: Any = msgspec.NODEFAULT
        if field.name not in required and field.default is not MISSING:
            default = field.default
        elif field.name not in required and field.default_factory is not MISSING:
            default = msgspec.field(default_factory=field.default_factory)
        own.append((field.name, _strict(hints[field.name]), default))
    return msgspec.defstruct(kind.__name__, own, forbid_unknown_fields=True, kw_only=True)


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn whatever is wrong with the text of ``name`` into a RecordError that says so."""
    try:
        yield
    except WRONG as error:
        raise RecordError(complaint(name, what, error)) from error


def complaint(name: str, what: str, error: Exception) -> str:
    """Return what is said of a text that raises one of `WRONG`."""
    said = error if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"
    return f"{name} is not a whole {what} ({said})"


def decoded(kind: type[D], text: str, required: frozenset[str] = NO_MORE) -> D:
    """Decode a dataclass: every value must have its type, nothing may be unknown, all of ``required`` must be there."""
    return msgspec.convert(form(kind, text, required), kind, from_attributes=True)


def form(kind: type[DataclassInstance], text: str | bytes, required: frozenset[str] = NO_MORE) -> Any:
    """Do as `decoded`, without making the dataclass: what is returned has its fields, in half of the time."""
    return _decoder(kind, required).decode(text)


@cache
def _decoder(kind: type[DataclassInstance], required: frozenset[str]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(_struct(kind, required))


def converted(kind: type[D], raw: Mapping[str, Any], required: frozenset[str] = NO_MORE) -> D:
    """Do as `decoded` with JSON that is parsed already."""
    return msgspec.convert(msgspec.convert(raw, _struct(kind, required)), kind, from_attributes=True)


def encoded(record: DataclassInstance) -> str:
    """Return a dataclass as JSON, indented by 1.

    Raises:
        RecordError: a number is not finite; names the field.
    """
    raw = asdict(record)
    try:
        return json.dumps(raw, indent=1, allow_nan=False)
    except ValueError:
        wrong = [f"{path} is {value}" for path, value in _numbers(raw, "") if not math.isfinite(value)]
        if not wrong:
            raise
        more = f" and {len(wrong) - MOST_NAMED} more are not" if len(wrong) > MOST_NAMED else ""
        raise RecordError(f"a record holds finite numbers only, but {', '.join(wrong[:MOST_NAMED])}{more}") from None


def _numbers(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, item in inner:
        yield from _numbers(item, f"{path}.{name}" if path else str(name))
