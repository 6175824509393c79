"""What to quantize and how finely, independent of the method: bits, granularity and layer rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from ..core.errors import ConfigError, NoMatchError

Granularity = Literal["per_channel", "per_tensor"]
GRANULARITIES: tuple[Granularity, ...] = ("per_channel", "per_tensor")


def check_bits(what: str, bits: int | None) -> None:
    """Raise ConfigError unless ``bits`` is None or a whole number from 2 to 8."""
    if bits is None:
        return
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ConfigError(f"{what} must be a whole number from 2 to 8, got {bits!r}; write for example {what}=7")


@dataclass(frozen=True)
class SiteSpec:
    """How one layer (a *site*) is quantized.

    Attributes:
        name: dotted module name inside the model given to ``prepare``.
        weight_bits: 2 to 8.
        act_bits: bits of the layer's input, 2 to 8, or None for float input.
        granularity: one weight step size per output channel or one per tensor.
        symmetric: whether the weight zero point is fixed at 0.
    """

    name: str
    weight_bits: int
    act_bits: int | None
    granularity: Granularity
    symmetric: bool


@dataclass(frozen=True)
class Rule:
    """An override for the layers whose dotted name matches a glob (``*`` also crosses dots).

    Attributes:
        pattern: glob as in fnmatch, case-sensitive; matching no layer is an error.
        skip: leave these layers in float.
        weight_bits, act_bits, granularity: replace the spec's value where not None.
    """

    pattern: str
    skip: bool = False
    weight_bits: int | None = None
    act_bits: int | None = None
    granularity: Granularity | None = None

    def __post_init__(self) -> None:
        check_bits("rule.weight_bits", self.weight_bits)
        check_bits("rule.act_bits", self.act_bits)
        if self.granularity is not None and self.granularity not in GRANULARITIES:
            raise ConfigError(f"rule.granularity must be one of {GRANULARITIES}, got {self.granularity!r}")


@dataclass(frozen=True)
class QuantSpec:
    """What is quantized; frozen and hashable, so it can be part of a record's identity.

    Attributes:
        weight_bits: 2 to 8.
        act_bits: 2 to 8, or None for float activations.
        granularity: of the weights; activations are always per tensor.
        symmetric: whether the weight zero point is fixed at 0.
        rules: applied in order, the last match of a layer wins. The default keeps the
            classifier in float, as QT-DoG does (paper, section 3.1).
    """

    weight_bits: int = 7
    act_bits: int | None = None
    granularity: Granularity = "per_channel"
    symmetric: bool = True
    rules: tuple[Rule, ...] = (Rule("classifier*", skip=True),)

    def __post_init__(self) -> None:
        if self.weight_bits is None:
            raise ConfigError("spec.weight_bits must be a whole number from 2 to 8, got None; use quantizer=float")
        check_bits("spec.weight_bits", self.weight_bits)
        check_bits("spec.act_bits", self.act_bits)
        if self.granularity not in GRANULARITIES:
            raise ConfigError(f"spec.granularity must be one of {GRANULARITIES}, got {self.granularity!r}")
        if not isinstance(self.rules, tuple):
            raise ConfigError(f"spec.rules must be a tuple of Rule, got {type(self.rules).__name__}")

    @property
    def label(self) -> str:
        """Short form used in tables, for example ``W7`` or ``W7A8``."""
        return f"W{self.weight_bits}" + (f"A{self.act_bits}" if self.act_bits is not None else "")

    def site(self, name: str) -> SiteSpec | None:
        """The settings of the layer ``name``, or None where a rule skips it."""
        out = SiteSpec(name, self.weight_bits, self.act_bits, self.granularity, self.symmetric)
        skip = False
        for rule in self.rules:
            if not fnmatchcase(name, rule.pattern):
                continue
            skip = rule.skip
            out = replace(
                out,
                weight_bits=rule.weight_bits or out.weight_bits,
                act_bits=rule.act_bits or out.act_bits,
                granularity=rule.granularity or out.granularity,
            )
        return None if skip else out

    def check_rules(self, names: Sequence[str]) -> None:
        """Raise NoMatchError naming the first rule that matches none of ``names``."""
        for rule in self.rules:
            if not any(fnmatchcase(name, rule.pattern) for name in names):
                raise NoMatchError(
                    f"each rule must match a layer, but {rule.pattern!r} matches none; "
                    f"the layers are: {', '.join(names) or 'none'}"
                )
