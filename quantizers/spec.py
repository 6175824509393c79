"""What to quantize and how finely, independent of the method: bits, granularity, integer range and layer rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple, get_args

from ..core.errors import ConfigError, NoMatchError
from .names import WEIGHT, module_name, weight_key

Granularity = Literal["per_channel", "per_tensor", "per_group"]
Same = Literal["same"]
SAME: Same = "same"
"""What a rule says of a setting that it leaves as the spec has it."""
GRANULARITIES: tuple[Granularity, ...] = ("per_channel", "per_tensor", "per_group")


def check_bits(what: str, bits: object) -> None:
    """Raise ConfigError unless ``bits`` is None or a whole number from 2 to 8."""
    if bits is None:
        return
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ConfigError(f"{what} must be a whole number from 2 to 8, got {bits!r}; write for example {what}=7")


def check_grouping(what: str, granularity: object, group_size: object) -> None:
    """Raise ConfigError unless ``group_size`` is a whole number above 0 for ``per_group``, and None for anything else."""
    if granularity != "per_group" and group_size is not None:
        raise ConfigError(
            f"{what}.group_size is for granularity=per_group, got {group_size!r} for {granularity}; leave it out"
        )
    whole = isinstance(group_size, int) and not isinstance(group_size, bool) and group_size >= 1
    if granularity == "per_group" and not whole:
        raise ConfigError(
            f"{what}.group_size must be a whole number of input channels, at least 1, for granularity=per_group, "
            f"got {group_size!r}; write for example group_size=32"
        )


def check_choice(what: str, value: object, literal: Any) -> None:
    """Raise ConfigError unless ``value`` is one of the values of a Literal type."""
    if value not in get_args(literal):
        raise ConfigError(f"{what} must be one of {', '.join(map(str, get_args(literal)))}, got {value!r}")


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
        granularity: one weight scale per output channel, per tensor, or per output channel and group of input channels.
        symmetric: whether the weight zero point is fixed at 0.
        parameter: name of the weight within its module.
        group_size: input channels (dimension 1 of the weight) that share a scale, for ``per_group``; else None.
    """

    name: str
    weight_bits: int
    act_bits: int | None
    granularity: Granularity
    _: KW_ONLY
    symmetric: bool
    parameter: str = WEIGHT
    group_size: int | None = None

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
        weight_bits: 2 to 8, or ``same``: as the spec says.
        act_bits: 2 to 8, None for float inputs whatever the spec says, or ``same``.
        granularity: of the weights, or ``same``.
        group_size: for ``per_group``, or ``same``; a rule that changes to ``per_group`` gives it.
    """

    pattern: str
    skip: bool = False
    weight_bits: int | Same = SAME
    act_bits: int | Same | None = SAME
    _: KW_ONLY
    granularity: Granularity | Same = SAME
    group_size: int | Same = SAME

    def __post_init__(self) -> None:
        if self.weight_bits is None:
            raise ConfigError(
                f"rule.weight_bits must be a whole number from 2 to 8 or {SAME}, got None; write skip=true for a float layer, "
                "or leave it out to keep the spec's bits"
            )
        for what, bits in (("rule.weight_bits", self.weight_bits), ("rule.act_bits", self.act_bits)):
            if bits != SAME:
                check_bits(what, bits)
        if self.granularity not in (*GRANULARITIES, SAME):
            raise ConfigError(f"rule.granularity must be one of {(*GRANULARITIES, SAME)}, got {self.granularity!r}")
        if self.group_size != SAME:
            check_grouping("rule", "per_group" if self.granularity == SAME else self.granularity, self.group_size)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the rule as a cell's settings hold it: ``null`` where it leaves the spec's value, ``float`` for float inputs.

        Settings of before 0.4 had ``null`` for the former and no way to say the latter.
        """
        own = {name: None if value == SAME else value for name, value in asdict(self).items()}
        if self.group_size == SAME:  # there were no groups before 0.4
            del own["group_size"]
        return {**own, "act_bits": "float"} if self.act_bits is None else own

    def apply(self, site: SiteSpec) -> SiteSpec:
        """Return a layer's settings as this rule changes them; skipping is not among them."""
        granularity = site.granularity if self.granularity == SAME else self.granularity
        group_size = site.group_size if self.group_size == SAME else self.group_size
        return replace(
            site,
            weight_bits=site.weight_bits if self.weight_bits == SAME else self.weight_bits,
            act_bits=site.act_bits if self.act_bits == SAME else self.act_bits,
            granularity=granularity,
            group_size=group_size if granularity == "per_group" or self.group_size != SAME else None,
        )


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
        group_size: input channels that share a weight scale, for ``granularity="per_group"``; else None. It must divide
            a layer's input channels; a layer with no more than that has one group, a scale for each output channel.
    """

    weight_bits: int = 7
    act_bits: int | None = None
    granularity: Granularity = "per_channel"
    symmetric: bool = True
    _: KW_ONLY
    rules: tuple[Rule, ...] = (Rule("classifier*", skip=True),)
    group_size: int | None = None

    def __post_init__(self) -> None:
        if self.weight_bits is None:
            raise ConfigError("spec.weight_bits must be a whole number from 2 to 8, got None; use quantizer=float")
        check_bits("spec.weight_bits", self.weight_bits)
        check_bits("spec.act_bits", self.act_bits)
        if self.granularity not in GRANULARITIES:
            raise ConfigError(f"spec.granularity must be one of {GRANULARITIES}, got {self.granularity!r}")
        if not isinstance(self.rules, tuple):
            raise ConfigError(f"spec.rules must be a tuple of Rule, got {type(self.rules).__name__}")
        check_grouping("spec", self.granularity, self.group_size)
        for rule in self.rules:
            site = rule.apply(self._whole(""))
            check_grouping(f"rule {rule.pattern!r}: rule", site.granularity, site.group_size)

    def _whole(self, name: str) -> SiteSpec:
        """A layer as no rule changes it."""
        return SiteSpec(
            name,
            self.weight_bits,
            self.act_bits,
            self.granularity,
            symmetric=self.symmetric,
            group_size=self.group_size,
        )

    @property
    def label(self) -> str:
        """Give the short form used in tables: ``W7``, ``W7A8``, or ``W4A4 mixed`` where a rule gives layers other bits."""
        bits = f"W{self.weight_bits}" + (f"A{self.act_bits}" if self.act_bits is not None else "")
        return f"{bits} mixed" if self.mixed else bits

    @property
    def mixed(self) -> bool:
        """Say whether a rule quantizes layers with other bits than the spec's; float layers do not count."""
        ruled = (rule.apply(self._whole("")) for rule in self.rules if not rule.skip)
        return any((site.weight_bits, site.act_bits) != (self.weight_bits, self.act_bits) for site in ruled)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the spec as a cell's settings hold it."""
        own = {**asdict(self), "rules": [rule.identity for rule in self.rules]}
        if self.group_size is None:  # there were no groups before 0.4
            del own["group_size"]
        return own

    def site(self, name: str) -> SiteSpec | None:
        """Return the settings of the layer ``name``, or None where a rule skips it."""
        out, skip = self._whole(name), False
        for rule in self.rules:
            if not fnmatchcase(name, rule.pattern):
                continue
            skip = rule.skip
            out = rule.apply(out)
        return None if skip else out

    def check_rules(self, names: Sequence[str]) -> None:
        """Raise NoMatchError naming the first rule that matches none of ``names``."""
        for rule in self.rules:
            if not any(fnmatchcase(name, rule.pattern) for name in names):
                raise NoMatchError(
                    f"each rule must match a layer, but {rule.pattern!r} matches none; "
                    f"the layers are: {', '.join(names) or 'none'}"
                )
