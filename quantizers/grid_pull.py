r"""Grid pull: a penalty that draws weights to their level, or with the other sign to the edge between two.

    L += weight sum over layers, and over the weights inside the grid, of (Q(w) - w)^2,   Q(w) without gradient
    ramp: weight rises from 0 as (1 - cos(pi k / ramp)) / 2 over the first ``ramp`` steps

weight > 0 is oscillation dampening. weight < 0 is OsciQuant's term up to its gradient through the scale: Q(w)^2 - w^2
with Q's straight-through gradient has the gradient 2 (Q(w) - w), opposite to dampening's. OsciQuant trains the float
network and rounds only to evaluate: ``train_float``. Weights beyond the grid are left alone: with the negative sign
nothing would bring them back. A sum and a mean differ by a layer's size, so a weight means nothing without
``aggregate``.

Reference: Nagel et al., "Overcoming Oscillations in Quantization-Aware Training", ICML 2022, section 4.1 (dampening);
Wenshøj et al., "Oscillations Make Neural Networks Robust to Quantization", arXiv 2502.00490 (OsciQuant).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant, QParams
from .layers import sites_of
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec, check_choice

Aggregate = Literal["sum", "mean"]


def ends_of(q: QParams, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value of a grid, each broadcasting against a weight shaped as ``like``."""
    scale, zero = q.against(like)
    if q.levels is not None:
        return q.levels[0] * scale, q.levels[-1] * scale
    return (q.qmin - zero) * scale, (q.qmax - zero) * scale


class PulledQuant(OverQuant):
    """This fake quantizer knows how far its weight is from the grid.

    Args:
        inner: the base's fake quantizer.
        ramp: steps over which the penalty rises; 0: none.
        train_float: whether training forwards see the float weight.
    """

    steps_done: Tensor

    def __init__(self, inner: FakeQuant, ramp: int, train_float: bool) -> None:
        super().__init__(inner)
        self.ramp, self.train_float = ramp, train_float
        self.register_buffer("steps_done", torch.tensor(0.0))

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return the base's output, or the weight itself."""
        return x if self.train_float else quantized

    def advance(self, weight: Tensor, step: int) -> None:
        """Count the step for the ramp."""
        super().advance(weight, step)
        self.steps_done.fill_(step)

    def distance(self, x: Tensor) -> Tensor:
        """Compute (Q(w) - w)^2 where the weight is inside the grid, else 0, times the ramp; of x's shape."""
        low, high = ends_of(self.inner.qparams(x), x)
        inside = (x.detach() >= low) & (x.detach() <= high)
        rise = (1 - torch.cos(math.pi * (self.steps_done / self.ramp).clamp(max=1))) / 2 if self.ramp else 1.0
        with torch.no_grad():
            level = self.inner(x)
        return rise * torch.where(inside, level - x, 0.0).square()


class GridPull(OverQuantizer):
    """Grid pull adds a penalty on the distance to the grid of another quantizer.

    Args:
        spec: what to quantize.
        weight: of the penalty; above 0 draws to the levels, below 0 to the edges.
        ramp: steps over which it rises from 0, at least 0.
        aggregate: ``sum`` or ``mean`` of a layer's weights; layers are summed.
        train_float: whether training sees the float weights, as in OsciQuant; the scale then does not learn.
        options: the settings of `OverQuantizer`.
    """

    name = "grid_pull"
    reference = "Nagel et al., ICML 2022 (dampening); OsciQuant, arXiv 2502.00490 (weight below 0)"
    meaning = "rounding, with a penalty on the distance to the grid"
    family = "penalty"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        weight: float = 1e-3,
        ramp: int = 0,
        aggregate: Aggregate = "sum",
        train_float: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        check_choice("aggregate", aggregate, Aggregate)
        if ramp < 0:
            raise ConfigError(f"ramp must be at least 0, got {ramp}; write ramp=0 for a constant penalty")
        self.weight, self.ramp, self.aggregate, self.train_float = weight, ramp, aggregate, train_float
        if train_float:
            self.beyond = "passed"

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `PulledQuant`."""
        return PulledQuant(inner, self.ramp, self.train_float)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the pull, with the base's penalty."""
        far = [site.weight_quant.distance(site.latent) for _, site in sites_of(model)]
        if not far:
            return super().penalty(model)
        pull = self.weight * torch.stack([d.sum() if self.aggregate == "sum" else d.mean() for d in far]).sum()
        base = super().penalty(model)
        return pull if base is None else pull + base
