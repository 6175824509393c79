r"""Where a weight lies against its grid, and what gradient it gets there.

    inside:  between the lowest and the highest value of the grid
    beyond:  further outside than 0.55 of the distance to the next value, so that no rounding brings it back
    dead:    inside and without a gradient: it stands still, whatever the loss says

Straight-through estimators pass the gradient of what is inside. One that rounds first and leaves the mask to torch.clamp
does not: everything on an outermost code sits on clamp's bound, where its derivative is 1 up to torch 2.12 and 0
(bounds as numbers) or 1/2 (as tensors) in 2.15: at 2 bits a fifth of normal weights. `dead_share` counts them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from .export import QTensor
from .fake_quant import FakeQuant, QParams, frozen_ranges

FAR = 0.55
"""Distances between two values by which a weight is beyond the grid."""
_ON_THE_BOUND = 1e-3


class Zones(NamedTuple):
    """Masks of a weight's shape: inside the grid, inside and on an outermost code, beyond the grid."""

    inside: Tensor
    edge: Tensor
    beyond: Tensor


@torch.no_grad()
def zones(weight: Tensor, q: QTensor) -> Zones:
    """Say where each latent weight lies; ``q`` holds its integers. What lies on an outermost value is in no zone."""
    codes, value = q.codes, q.dequantize()
    top, bottom = codes == codes.max(), codes == codes.min()
    inward = codes - top.to(codes.dtype) + bottom.to(codes.dtype)
    neighbour = replace(q, codes=inward).dequantize()
    gap = (value - neighbour).abs()
    outward = torch.where(top, weight - value, value - weight)
    edge = (top | bottom) & (outward < -_ON_THE_BOUND * gap)
    return Zones(edge | ~(top | bottom), edge, (top | bottom) & (outward > FAR * gap))


def slope_of(quantized: Tensor, x: Tensor) -> Tensor:
    """Compute the derivative of the sum of ``quantized`` by each x; 0 where it does not depend on x."""
    if not quantized.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(quantized, x, torch.ones_like(quantized), allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def slopes(quant: FakeQuant, weight: Tensor) -> Tensor:
    """Compute the derivative of the sum of a training forward by each weight; neither ranges nor gradients move."""
    training = quant.training
    quant.train()
    try:
        with frozen_ranges(quant), torch.enable_grad():
            x = weight.detach().clone().requires_grad_()
            return slope_of(quant(x), x)
    finally:
        quant.train(training)


def dead_share(quant: FakeQuant, weight: Tensor, q: QTensor) -> float:
    """Compute the share of the weights that lie inside the grid and get no gradient, 0 to 1."""
    dead = zones(weight, q).inside & (slopes(quant, weight) == 0)
    return float(dead.float().mean())


def grid_distance(weight: Tensor, q: QParams) -> float | None:
    """Compute the mean |v - round(v)| of v = w / s + z, 0 to 1/2; None on a non-uniform grid."""
    if q.levels is not None:
        return None
    scale, zero_point = q.against(weight)
    v = weight / scale + zero_point
    return float((v - v.round()).abs().mean())
