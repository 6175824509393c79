"""How one layer is quantized, and the rules that change it."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Any, Literal

from ..core.errors import ConfigError
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
