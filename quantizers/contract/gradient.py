"""The contract check of the gradient at the ends of a grid, where straight-through estimators and versions of torch differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..base import Quantizer
from ..edges import FAR, zones
from ..export import ActQuant, QTensor
from ..insertion import latent_parameter
from ..spec import QuantSpec
from .trial import MakeQuantizer, Skip, expect, input_slopes, specs, start, supported, weight_slopes

COARSE = (QuantSpec(2), QuantSpec(2, 2))
"""The fewer codes, the more of the values lie on an outermost one."""


def check_edge_gradient(make: MakeQuantizer) -> Skip | None:
    """What lies inside the grid gets a gradient, on an outermost code too; what lies beyond it gets what ``beyond`` says.

    The mask belongs on the value before rounding: torch.clamp after rounding stops the whole outermost bin in one version
    of torch and passes it in another. A class whose weights stand still all the same says why in ``dead_weights``.
    """
    found = [s for one in COARSE for s in supported(make, [one])] or specs(make)
    tried = 0
    for spec in found:
        t = start(make, spec)
        exported, slopes = t.quantizer.export(t.net), weight_slopes(t.net)
        for name, site in exported.items():
            if name in slopes:
                weight = latent_parameter(t.net, site.key(name)).detach()
                _check_weight(spec, name, weight, site.weight, slope=slopes[name], quantizer=t.quantizer)
                tried += 1
            if site.act is not None and not t.quantizer.dead_weights:
                _check_inputs(spec, name, site.act, partial(input_slopes, t.net, name))
    return None if tried else Skip("no weight that it rounds trains")


def _check_weight(
    spec: QuantSpec, name: str, weight: Tensor, q: QTensor, *, slope: Tensor, quantizer: Quantizer
) -> None:
    where, stops = zones(weight, q), slope == 0
    if quantizer.dead_weights:
        return
    dead, edge = int((where.inside & stops).sum()), int((where.edge & stops).sum())
    expect(
        dead == 0,
        spec,
        f"{name}: {dead} of {int(where.inside.sum())} weights inside the grid get no gradient, {edge} of them on an "
        "outermost code; mask the value before rounding, as static_range does, and do not leave it to torch.clamp, or say "
        "in dead_weights why they stand still",
    )
    if quantizer.beyond != "any":
        wrong = where.beyond & (stops == (quantizer.beyond == "passed"))
        expect(
            not bool(wrong.any()),
            spec,
            f"{name}: of {int(where.beyond.sum())} weights more than {FAR} codes beyond the grid {int(wrong.sum())} have a "
            f"gradient that is not {quantizer.beyond}, as the class says; say what it is in beyond",
        )


def _check_inputs(spec: QuantSpec, name: str, act: ActQuant, slope: Callable[[Tensor], Tensor]) -> None:
    codes = torch.arange(act.qmin, act.qmax, dtype=torch.float64)
    units = torch.cat([codes + shift for shift in (0.2, 0.3, 0.7, 0.8)]) - act.zero_point
    values = (units * act.scale).float()
    dead = values[slope(values) == 0].tolist()
    expect(not dead, spec, f"{name}: inputs inside the grid get no gradient: {dead}; mask the value before rounding")
