"""The noise that quantizers are matched to, as it is configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError
from ...quantizers.spec import QuantSpec

if TYPE_CHECKING:
    from .component import QuantizerComponent


@dataclass(frozen=True)
class MatchRule:
    """The rule asks for a mean weight noise at insertion: a number, or what ``like`` has there."""

    noise: float | None = None
    like: QuantizerComponent | None = None
    tolerance: float = 0.05

    @property
    def identity(self) -> dict[str, Any]:
        """Return what it asks for, for a cell's key."""
        like = None if self.like is None else self.like.identity
        return {"noise": self.noise, "like": like, "tolerance": self.tolerance}

    def label(self, spec: QuantSpec) -> str:
        """Tables show this in place of the bits, for example ``N=lsq`` or ``N=0.058 A8``."""
        name = f"N={self.like.name}" if self.like else f"N={self.noise:g}"
        inputs = f" A{spec.usual.act_bits}" if spec.usual.act_bits is not None else ""
        return name + inputs + (" mixed" if spec.mixed else "")

    def applies(self, quantizer: QuantizerComponent) -> bool:
        """Return whether a quantizer is matched; what has no bits and the reference itself are not."""
        return quantizer.spec is not None and quantizer != self.like


def read_match(match: Any, to: Any, bits: Any, find: Callable[[str], QuantizerComponent]) -> MatchRule | None:
    """Read the settings ``match``, ``match_to`` and ``bits`` as a rule; None where nothing is matched.

    ``find`` looks up a quantizer by name.
    """
    if match is None:
        return None
    if match != "noise":
        raise ConfigError(f"match must be null or noise, got {match!r}; write match=noise match_to=lsq")
    if bits is not None:
        raise ConfigError(f"match=noise chooses the bits, got bits={bits}; write bits=null")
    if isinstance(to, (int, float)) and not isinstance(to, bool) and 0 < to < 1:
        return MatchRule(noise=float(to))
    if not isinstance(to, str):
        raise ConfigError(
            f"match_to must be a quantizer or a noise between 0 and 1, got {to!r}; write match_to=lsq or match_to=0.058"
        )
    like = find(to)
    if like.spec is None:
        raise ConfigError(f"match_to must be a quantizer with bits, got {to!r}; write match_to=lsq")
    return MatchRule(like=like)
