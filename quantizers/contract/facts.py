"""What a quantizer can do, asked of the quantizer itself on the toy net, so that no list can say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

import torch

from ..base import Quantizer
from ..export import SiteExport
from ..spec import GRANULARITIES, Granularity, QuantSpec
from .groups import GROUP_SIZE
from .toy_net import calibration, float_net
from .trial import supported

Make = Callable[[QuantSpec], Quantizer]
Export = Literal["integers", "no zero", "code book", "float"]
"""How weights are stored: whole codes with a whole zero point, codes whose grid has no zero, indices of levels, or as they are."""
BITS = range(2, 9)


@dataclass(frozen=True)
class Facts:
    """The facts of one quantizer.

    Attributes:
        bits: the widths of weights that it supports, rising, out of 2 to 8.
        granularities: of the weights' scales, those that it supports.
        _: what follows is given by keyword.
        inputs: whether it quantizes inputs of layers to 8 bits.
        learns: names of the parameters that it adds for a weight, without the layer's.
        export: how its weights are stored.
    """

    bits: tuple[int, ...]
    granularities: tuple[Granularity, ...]
    _: KW_ONLY
    inputs: bool
    learns: tuple[str, ...]
    export: Export


def facts_of(make: Make) -> Facts:
    """Ask a quantizer what it supports and how it exports.

    Args:
        make: builds the quantizer for a spec.

    Returns:
        Its facts; all empty, and ``float`` as export, for one that quantizes nothing.
    """
    untouched, net = float_net(0), float_net(0)

    specs = supported(make, [spec for width in BITS for spec in (QuantSpec(width), QuantSpec(width, 8))], untouched)
    spec = specs[-1] if specs else QuantSpec()
    quantizer = make(spec)
    plan = quantizer.prepare(net, calibration(1)[0])
    if not quantizer.post_training:  # its search takes seconds and changes none of what is asked
        quantizer.calibrate(net, calibration(1))
    if not plan.sites:
        return Facts((), (), inputs=False, learns=(), export="float")
    return Facts(
        tuple(sorted({spec.weight_bits for spec in specs})),
        tuple(kind for kind in GRANULARITIES if make(it := _with_scales(spec, kind)).supports(untouched, it).ok),
        inputs=any(site.act_bits for site in plan.sites),
        learns=tuple(sorted({name.rpartition(".")[2] for name in plan.parameters})),
        export=_how(quantizer.export(net.eval()).values()),
    )


def _with_scales(spec: QuantSpec, kind: Granularity) -> QuantSpec:
    return replace(spec, granularity=kind, group_size=GROUP_SIZE if kind == "per_group" else None)


def _how(sites: Iterable[SiteExport]) -> Export:
    weights = [site.weight for site in sites]
    if not weights:
        return "float"
    if any(weight.levels is not None for weight in weights):
        return "code book"
    whole = all(torch.equal(weight.zero_point, weight.zero_point.round()) for weight in weights)
    return "integers" if whole else "no zero"
