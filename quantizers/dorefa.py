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

from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, shared_dims
from .sites import SiteQuantizer
from .spec import IntegerRange, SiteSpec, integer_range


class _RoundTanh(torch.autograd.Function):
    """Rounds tanh(x) onto the grid; the gradient is that of tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, codes: IntegerRange) -> Tensor:
        zero_point = codes.qmax / 2
        ctx.save_for_backward(x)
        out: Tensor = torch.round(torch.tanh(x) / scale + zero_point).clamp_(*codes).sub_(zero_point).mul_(scale)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,), (x,) = grads, ctx.saved_tensors
        return grad * (1 - torch.tanh(x).square()), None, None


class DoReFaQuant(FakeQuant):
    """The grid of this fake quantizer is a function of the weight; there is no state.

    Args:
        bits: 2 to 8.
        per_channel: M for each index of dimension 0, else for the tensor as in the paper.
        scale_factor: factor on M in the scale, > 0; above 1 the grid is wider than the weights.
    """

    def __init__(self, bits: int, per_channel: bool, scale_factor: float = 1.0) -> None:
        super().__init__()
        self.codes = integer_range(bits, signed=False)
        self.per_channel, self.scale_factor = per_channel, scale_factor

    @torch.no_grad()
    def scale(self, x: Tensor) -> Tensor:
        """Compute 2 M / n, shape (channels, 1, ...) or ()."""
        largest = torch.tanh(x.abs().amax(shared_dims(x, self.per_channel), keepdim=self.per_channel))
        scale: Tensor = (self.scale_factor * 2 / self.codes.qmax * largest).clamp_min(SMALLEST_SCALE)
        return scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight."""
        out: Tensor = _RoundTanh.apply(x, self.scale(x), self.codes)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale 2 M / n of the weight ``x``, zero point n / 2, codes 0 to n."""
        assert x is not None, "the grid of DoReFa is a function of the weight"
        q = QParams.symmetric(self.scale(x), self.codes)
        return q._replace(zero_point=torch.full_like(q.scale, self.codes.qmax / 2))


class DoReFa(SiteQuantizer):
    """DoReFa rounds weights onto even levels of their tanh, scale preserving; it learns nothing of its own."""

    name = "dorefa"
    is_base = True
    fixed_scale_reason = ""
    reference = "Zhou et al., DoReFa-Net, arXiv 1606.06160 (weights, scale preserving)"
    meaning = "rounding onto even levels of tanh of the weight"
    beyond = "passed"
    family = "uniform"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the tanh grid."""
        return DoReFaQuant(site.weight_bits, site.per_channel, self.scale_factor)
