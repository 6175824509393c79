r"""Stochastic rounding: up with the probability of the fraction, so that the mean over steps is the weight.

    training: w_q = s (clip(floor(w / s + u), qmin - z, qmax - z)),  u ~ U[0, 1) weight by weight afresh each step
    eval: the nearest code;   dw_q/dw = 1 inside the range, else 0

E w_q = w inside the range: noise without bias, of up to twice the variance of rounding to nearest (s^2 / 6 on average
against s^2 / 12). The grid is that of `min_max`, anew at each step. The draw is a function of (seed, layer name, step).

Reference: Gupta et al., "Deep Learning with Limited Numerical Precision", ICML 2015, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .draws import Draws
from .fake_quant import FakeQuant
from .min_max import MinMax, MinMaxQuant
from .spec import SiteSpec
from .static_range import Grid


class _Stochastic(torch.autograd.Function):
    """Rounds v = x / s + z down after adding u; straight-through inside the codes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Grid, draw: Tensor) -> Tensor:
        v = x / grid.scale + grid.zero_point
        ctx.save_for_backward((v >= grid.codes.qmin) & (v <= grid.codes.qmax))
        return torch.floor(v + draw).clamp_(*grid.codes).sub_(grid.zero_point).mul_(grid.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0] * ctx.saved_tensors[0], None, None


class StochasticQuant(MinMaxQuant):
    """This fake quantizer rounds at random in training and to the nearest code in evaluation."""

    draws: Draws

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized weight."""
        if not self.training or self.calibrating:
            return super().forward(x)
        out: Tensor = _Stochastic.apply(x, self.grid(), self.draws.uniform(x))
        return out

    def advance(self, weight: Tensor, step: int) -> None:
        """Let the next forward draw anew, on the grid of the new weight."""
        super().advance(weight, step)
        self.draws.count(step)


class StochasticRounding(MinMax):
    """Stochastic rounding rounds weights up or down at random in training, without bias; inputs as `MinMax`."""

    name = "stochastic_rounding"
    kind = StochasticQuant
    input_kind = MinMaxQuant
    reference = "Gupta et al., Deep Learning with Limited Numerical Precision, ICML 2015"
    meaning = "rounding up or down at random, without bias"
    family = "uniform"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a range for each output channel or for the tensor, and the layer's draws."""
        quant = super().weight_quantizer(weight, site)
        assert isinstance(quant, StochasticQuant)
        quant.draws = Draws(self.seed, site.name)
        return quant
