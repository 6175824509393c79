"""Ranges of hyper-parameters and draws from them, for a search with the same budget for every method.

A part declares what a search may set as a class attribute, for example ``ranges = {"gamma": Log(0.1, 10.0)}``; the names are
those of its settings. A function declares it in the same way, as an attribute of the function.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError
from .numbers import check_numbers, meaning
from .repeats import refuse_repeats

DIGITS = 6
"""Significant digits of a drawn number, so that every machine's logarithm gives the same one."""


@dataclass(frozen=True)
class _Interval:
    """An interval includes both of its ends.

    Args:
        low: the smallest value.
        high: the largest value, above ``low``.
        whole: whether only whole numbers are drawn.
    """

    low: float
    high: float
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(
                f"a range goes from a smaller to a larger number, got {self.low:g} to {self.high:g}; write the smaller first"
            )

    def at(self, share: float) -> float | int:
        """Return the value below which this share of all draws lies, 0 <= share < 1."""
        if self.whole:
            return min(math.floor(self._between(share, math.floor(self.high) + 1)), math.floor(self.high))
        value = float(f"{self._between(share, self.high):.{DIGITS}g}")
        return min(max(value, self.low), self.high)

    def _between(self, share: float, high: float) -> float:
        raise NotImplementedError

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return the values that a part must be able to take."""
        return (math.ceil(self.low), math.floor(self.high)) if self.whole else (self.low, self.high)


class Uniform(_Interval):
    """Every part of the interval is as likely as another of the same length."""

    def _between(self, share: float, high: float) -> float:
        return self.low + share * (high - self.low)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


class Log(_Interval):
    """The logarithm is uniform: 0.1 to 1 is as likely as 1 to 10. Both ends are above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low > 0:
            raise ConfigError(f"a logarithmic range begins above 0, got {self.low:g}; write uniform for one with 0")

    def _between(self, share: float, high: float) -> float:
        return self.low * math.pow(high / self.low, share)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, logarithmic"


@dataclass(frozen=True)
class Choice:
    """Each of some values is as likely as another; they may be of any kind."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("a choice needs at least one value, got none; write choice with a list of values")
        refuse_repeats("choice", self.values, meaning)

    def at(self, share: float) -> Any:
        """Return the value below which this share of all draws lies, in the order of the list, 0 <= share < 1."""
        return self.values[int(share * len(self.values))]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return the values that a part must be able to take: all."""
        return self.values

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.values))


Range = Uniform | Log | Choice
Ranges = Mapping[str, Range]
_KINDS: dict[str, type[Uniform | Log]] = {"uniform": Uniform, "log": Log}


def ranges_of(part: Any) -> Ranges:
    """Return the ranges that a class or function declares, by the name of the setting; empty where it declares none."""
    return dict(getattr(part, "ranges", {}))


def draw(of: Range, seed: int, name: str, number: int) -> Any:
    """Return draw ``number`` of a hyper-parameter.

    It depends on the arguments alone: neither on the other hyper-parameters nor on how many draws were made, so that one more
    of either changes none of the others.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{number}".encode()).digest()
    return of.at((int.from_bytes(digest[:8], "big") >> 11) / 2**53)


def read_range(name: str, node: Any, *, whole: bool = False) -> Range:
    """Read a range as a configuration has it: ``{log: [1e-5,1e-3]}``, ``{uniform: [0,0.5]}`` or ``{choice: [0,0.1,0.5]}``.

    Args:
        name: of the setting, for messages.
        node: the range, or a plain list, which is a choice.
        whole: whether the setting takes whole numbers only.

    Raises:
        ConfigError: it is no range, or the range is empty or upside down.
    """
    kind, values = ("choice", node) if isinstance(node, list) else _only(node)
    fits = isinstance(values, list) and (kind == "choice" or (kind in _KINDS and len(values) == 2 and _numbers(values)))
    if not fits:
        raise ConfigError(
            f"the range of {name} must be {{log: [LOW,HIGH]}}, {{uniform: [LOW,HIGH]}} or {{choice: [VALUE,VALUE]}}, got {node}"
        )
    check_numbers(f"the range of {name}", values)
    try:
        return Choice(tuple(values)) if kind == "choice" else _KINDS[kind](values[0], values[1], whole=whole)
    except ConfigError as error:
        raise ConfigError(f"search.ranges.{name}: {error}") from error


def _only(node: Any) -> tuple[str, Any]:
    found = list(node.items()) if isinstance(node, Mapping) else []
    return found[0] if len(found) == 1 else ("", None)


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
