"""The contract check of input grids: what a layer computes with is what is exported, value by value."""

from __future__ import annotations

import torch
from torch import Tensor

from ..export import ActQuant
from ..spec import QuantSpec
from .trial import MakeQuantizer, Skip, expect, functional_input, start, supported

WIDTHS = (2, 4, 8)
WEIGHT_BITS = (8, 7, 4, 2)
CLOSE = 1e-3
"""Codes: what float32 may make of a value that lies on the grid."""


def check_input_grid(make: MakeQuantizer) -> Skip | None:
    """At 2, 4 and 8 bits a layer's input is rounded to the exported grid, at the branch and after training.

    Every code, every value halfway between two and their neighbours, and values outside the range are tried in eval mode;
    a value halfway may go either way, since its last bit decides.
    """
    tried = 0
    for bits in WIDTHS:
        found = supported(make, (QuantSpec(width, bits) for width in WEIGHT_BITS))
        for spec in found[:1]:
            trial = start(make, spec)
            for steps in (0, 3):
                trial.train(steps)
                for name, site in trial.quantizer.export(trial.net).items():
                    expect(site.act is not None, spec, f"{name} has {bits}-bit inputs by its spec, export says float")
                    if site.act is not None:
                        _compare(spec, name, site.act, functional_input(trial.net, name, _sweep(site.act)))
                        tried += 1
    return None if tried else Skip("it quantizes no input")


def _sweep(act: ActQuant) -> Tensor:
    """Return values at and around every code and every middle between two, and far outside, float32 (n,)."""
    codes = torch.arange(2 * act.qmin - 4, 2 * act.qmax + 5, dtype=torch.float64) / 2
    near = torch.cat([codes + shift for shift in (0.0, 0.01, -0.01, 0.24, -0.24)])
    width = act.qmax - act.qmin
    far = torch.tensor([act.qmin - 3.0 * width, act.qmax + 3.0 * width], dtype=torch.float64)
    units = torch.cat([near, far]) - act.zero_point
    return torch.cat([units * act.scale, torch.zeros(1, dtype=torch.float64)]).float()


def _compare(spec: QuantSpec, name: str, act: ActQuant, computed: Tensor) -> None:
    values = _sweep(act)
    allowed = [act.quantize(values, nudge) for nudge in (0.0, act.last_bits, -act.last_bits)]
    gap = torch.stack([(computed - a).abs() / act.scale for a in allowed]).amin(0)
    worst = int(gap.argmax())
    expect(
        float(gap[worst]) <= CLOSE,
        spec,
        f"{name} rounds the input {float(values[worst]):.6g} to {float(computed[worst]):.6g}, the exported grid has "
        f"{float(allowed[0][worst]):.6g}: {float(gap[worst]):.2g} codes away; return from qparams what forward does",
    )
