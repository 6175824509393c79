"""What to quantize and how finely, independent of the method: bits, granularity, integer range and layer rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple, get_args

from ..core.errors import ConfigError, NoMatchError
from .rule import GRANULARITIES, SAME, Granularity, Rule, SiteSpec, check_bits, check_grouping

__all__ = ["GRANULARITIES", "SAME", "Granularity", "IntegerRange", "Placement", "QuantSpec", "Rule", "SiteSpec"]
__all__ += ["check_bits", "check_choice", "check_grouping", "check_positive", "integer_range"]

Placement = Literal["inputs", "full"]
"""Where activations are quantized: at the inputs of quantized layers, or at outputs that are added, joined or pooled, too."""


def check_choice(what: str, value: object, literal: Any) -> None:
    """Raise ConfigError unless ``value`` is one of the values of a Literal type."""
    if value not in get_args(literal):
        raise ConfigError(f"{what} must be one of {', '.join(map(str, get_args(literal)))}, got {value!r}")


def check_positive(**settings: float) -> None:
    """Raise ConfigError for a setting that is not above 0."""
    for name, value in settings.items():
        if not value > 0:
            raise ConfigError(f"{name} must be above 0, got {value}; leave it out for the default")


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
        placement: ``inputs`` quantizes the inputs of quantized layers; ``full`` also every output that feeds an addition, a
            concatenation or a pool, or several layers, see `quantdg.quantizers.placement`; it needs ``act_bits``.
    """

    weight_bits: int = 7
    act_bits: int | None = None
    granularity: Granularity = "per_channel"
    symmetric: bool = True
    _: KW_ONLY
    rules: tuple[Rule, ...] = (Rule("classifier*", skip=True),)
    group_size: int | None = None
    placement: Placement = "inputs"

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
        check_choice("spec.placement", self.placement, Placement)
        if self.placement == "full" and self.act_bits is None:
            raise ConfigError(
                "spec.placement=full quantizes activations, got act_bits=None; write for example act_bits=8"
            )
        for rule in self.rules:
            site = rule.apply(self.whole(""))
            check_grouping(f"rule {rule.pattern!r}: rule", site.granularity, site.group_size)

    def whole(self, name: str) -> SiteSpec:
        """Return the settings of the layer ``name`` as no rule changes them."""
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
        """Give the short form of tables: ``W7``, ``W7A8``, ``W8A8 full``, ``W4A4 mixed`` where a rule gives some layers other bits.

        A rule for all layers, ``*``, changes what the others are compared with.
        """
        usual = self.usual
        bits = f"W{usual.weight_bits}" + (f"A{usual.act_bits}" if usual.act_bits is not None else "")
        bits += " full" if self.placement == "full" else ""
        return f"{bits} mixed" if self.mixed else bits

    @property
    def mixed(self) -> bool:
        """Say whether a rule quantizes some layers with other bits than all; float layers do not count."""
        usual = self.usual
        ruled = (self._ruled(rule) for rule in self.rules if not rule.skip)
        return any((site.weight_bits, site.act_bits) != (usual.weight_bits, usual.act_bits) for site in ruled)

    @property
    def usual(self) -> SiteSpec:
        """Return the settings of a layer that no rule changes but those for all layers, ``*``."""
        return self._ruled()

    def _ruled(self, own: Rule | None = None) -> SiteSpec:
        """A layer as the rules for all layers, and the rule ``own``, have it."""
        site = self.whole("")
        for rule in self.rules:
            if rule is own or rule.pattern == "*":
                site = rule.apply(site)
        return site

    @property
    def identity(self) -> dict[str, Any]:
        """Return the spec as a cell's settings hold it."""
        own = {**asdict(self), "rules": [rule.identity for rule in self.rules]}
        if self.group_size is None:  # there were no groups before 0.4
            del own["group_size"]
        if self.placement == "inputs":  # nor was there another placement
            del own["placement"]
        return own

    def site(self, name: str) -> SiteSpec | None:
        """Return the settings of the layer ``name``, or None where a rule skips it."""
        out, skip = self.whole(name), False
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
