"""What to quantize and how finely, independent of the method: bits, granularity, integer range and layer rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from ..core.errors import ConfigError, NoMatchError
from .names import WEIGHT, module_name, weight_key

Granularity = Literal["per_channel", "per_tensor"]
GRANULARITIES: tuple[Granularity, ...] = ("per_channel", "per_tensor")


def check_bits(what: str, bits: int | None) -> None:
    """Raise ConfigError unless ``bits`` is None or a whole number from 2 to 8."""
    if bits is None:
        return
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ConfigError(f"{what} must be a whole number from 2 to 8, got {bits!r}; write for example {what}=7")


class IntegerRange(NamedTuple):
    """The codes of a uniform grid run from ``qmin`` to ``qmax``, both included."""

    qmin: int
    qmax: int


def integer_range(bits: int, *, signed: bool = True, narrow: bool = False) -> IntegerRange:
    """Return the codes that ``bits`` bits hold: 0 .. 2^bits - 1, or if signed -2^(bits-1) .. 2^(bits-1) - 1.

    Args:
        bits: width of a code, 2 to 8.
        signed: whether codes below 0 exist.
        narrow: leave out the lowest signed code, so that the range is symmetric around 0.
    """
    qmax = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return IntegerRange((-qmax if narrow else -qmax - 1) if signed else 0, qmax)


@dataclass(frozen=True)
class SiteSpec:
    """A site spec says how one layer (a *site*) is quantized.

    Attributes:
        name: dotted module name inside the model given to ``prepare``, followed by ``parameter`` unless it is ``weight``.
        weight_bits: 2 to 8.
        act_bits: bits of the layer's input, 2 to 8, or None for float input.
        granularity: one weight scale per output channel or one per tensor.
        symmetric: whether the weight zero point is fixed at 0.
        parameter: name of the weight within its module.
    """

    name: str
    weight_bits: int
    act_bits: int | None
    granularity: Granularity
    _: KW_ONLY
    symmetric: bool
    parameter: str = WEIGHT

    @property
    def module(self) -> str:
        """The dotted name of the module that holds the weight."""
        return module_name(self.name, self.parameter)

    @property
    def key(self) -> str:
        """The state-dict name of the weight."""
        return weight_key(self.name, self.parameter)

    @property
    def per_channel(self) -> bool:
        """Say whether each output channel of the weight has a scale of its own."""
        return self.granularity == "per_channel"


@dataclass(frozen=True)
class Rule:
    """A rule overrides the spec for the layers whose dotted name matches a glob (``*`` also crosses dots).

    Attributes:
        pattern: glob as in fnmatch, case-sensitive; matching no layer is an error.
        skip: leave these layers in float.
        weight_bits: replaces the spec's value where not None.
        act_bits: replaces the spec's value where not None.
        granularity: replaces the spec's value where not None.
    """

    pattern: str
    skip: bool = False
    weight_bits: int | None = None
    act_bits: int | None = None
    _: KW_ONLY
    granularity: Granularity | None = None

    def __post_init__(self) -> None:
        check_bits("rule.weight_bits", self.weight_bits)
        check_bits("rule.act_bits", self.act_bits)
        if self.granularity is not None and self.granularity not in GRANULARITIES:
            raise ConfigError(f"rule.granularity must be one of {GRANULARITIES}, got {self.granularity!r}")


@dataclass(frozen=True)
class QuantSpec:
    """A spec says what is quantized; it is frozen and hashable, so it can be part of a record's identity.

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
    _: KW_ONLY
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
        """Give the short form used in tables, for example ``W7`` or ``W7A8``."""
        return f"W{self.weight_bits}" + (f"A{self.act_bits}" if self.act_bits is not None else "")

    def site(self, name: str) -> SiteSpec | None:
        """Return the settings of the layer ``name``, or None where a rule skips it."""
        out = SiteSpec(name, self.weight_bits, self.act_bits, self.granularity, symmetric=self.symmetric)
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
