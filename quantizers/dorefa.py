r"""DoReFa weights on the scale of the weight: a tanh, then 2^b evenly spaced values without a zero.

    M = max|tanh w|,  n = 2^b - 1
    c = round(n (tanh(w) / 2M + 1/2)),  w_q = M (2c / n - 1),  dw_q/dw = 1 - tanh^2 w

DoReFa maps to [-1, 1]; BatchNorm frozen as in domain generalization expects the weights as they were, so the factor M
stays on ("scale preserving"). M is recomputed at each forward and passes no gradient. Neither gradients nor layer
inputs are quantized. The zero point n / 2 lies between two codes, so no integer runtime takes the grid.

Reference: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth
Gradients", arXiv 1606.06160, section 2.3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .sites import FakeQuant, QParams, SiteQuantizer
from .spec import SiteSpec

SMALLEST = 1e-8


class _RoundTanh(torch.autograd.Function):
    """Rounds tanh(x) onto the grid; the gradient is that of tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, codes: int) -> Tensor:
        t = torch.tanh(x)
        ctx.save_for_backward(x)
        out: Tensor = torch.round(t / step + codes / 2).clamp_(0, codes).sub_(codes / 2).mul_(step)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,), (x,) = grads, ctx.saved_tensors
        return grad * (1 - torch.tanh(x).square()), None, None


class DoReFaQuant(FakeQuant):
    """The grid is a function of the weight; there is no state.

    Args:
        bits: 2 to 8.
        per_channel: M for each index of dimension 0, else for the tensor as in the paper.
        step_scale: factor on M in the step, > 0; above 1 the grid is wider than the weights.
    """

    def __init__(self, bits: int, per_channel: bool, step_scale: float = 1.0) -> None:
        super().__init__()
        self.codes, self.per_channel, self.step_scale = 2**bits - 1, per_channel, step_scale

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """2 M / n, shape (channels, 1, ...) or ()."""
        dims = tuple(range(1 if self.per_channel else 0, x.dim()))
        largest = torch.tanh(x.abs().amax(dims, keepdim=self.per_channel))
        step: Tensor = (self.step_scale * 2 / self.codes * largest).clamp_min(SMALLEST)
        return step

    def forward(self, x: Tensor) -> Tensor:
        """The quantized weight."""
        out: Tensor = _RoundTanh.apply(x, self.step(x), self.codes)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Step 2 M / n of the weight ``x``, zero point n / 2, codes 0 to n."""
        assert x is not None, "the grid of DoReFa is a function of the weight"
        scale = self.step(x.detach()).reshape(-1 if self.per_channel else ())
        return QParams(scale, torch.full_like(scale, self.codes / 2), 0, self.codes, 0 if self.per_channel else None)


class DoReFa(SiteQuantizer):
    """Scale-preserving DoReFa on weights; it learns nothing of its own."""

    name = "dorefa"
    step_is_fixed = ""
    reference = "Zhou et al., DoReFa-Net, arXiv 1606.06160 (weights, scale preserving)"
    meaning = "rounding onto even levels of tanh of the weight"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """The tanh grid."""
        return DoReFaQuant(site.weight_bits, site.granularity == "per_channel", self.step_scale)
