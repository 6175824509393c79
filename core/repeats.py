"""Lists in which every entry counts once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from .errors import ConfigError


def _itself(value: Any) -> Any:
    return value


def refuse_repeats(what: str, values: Sequence[Any], meaning: Callable[[Any], Hashable] = _itself) -> None:
    """Raise ConfigError where two entries of a list mean the same.

    Args:
        what: the setting, as it is written on a command line.
        values: its entries; 1 and 1.0 are the same.
        meaning: maps an entry to what it stands for.
    """
    once: dict[Hashable, Any] = {}
    repeats = []
    for value in values:
        stands_for = meaning(value)
        if stands_for in once:
            repeats.append((once[stands_for], value))
        once.setdefault(stands_for, value)
    if repeats:
        first, second = repeats[0]
        got = f"{_word(first)} twice" if first == second else f"{_word(first)} and {_word(second)}, which are the same"
        entries = ",".join(map(_word, once.values()))
        raise ConfigError(f"{what} must name each entry once, got {got}; write '{what}=[{entries}]'")


def _word(value: Any) -> str:
    return "null" if value is None else str(value)
