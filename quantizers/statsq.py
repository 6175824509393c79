r"""StatsQ and N2UQ: one grid without a zero below a clip at twice the mean weight, two backward passes.

    sf = 2 E|w|,   n = 2^(b-1),   c = clip(w / sf, -1, 1 - 1e-6),   w_q = sf (round(n c - 1/2) + 1/2) / n
    backward="statsq":  dw_q/dw = 1              backward="n2uq":  dw_q/dw = 1 / ((2^b - 1) / 2^(b-1) E|w|)

Both papers' weights are these 2^b odd multiples of E|w| / 2^(b-1); only the gradients differ, by a factor a channel,
which Adam takes out while E|w| hardly moves within its memory: the two are one method, not two pieces of evidence. sf is computed anew at each
forward and passes no gradient; nothing is masked. The clip leaves noise near .19 at any width: a design for 2 to 4
bits. N2UQ's learned thresholds of inputs are not built. The zero point lies between two codes, so no integer runtime
takes the grid.

Reference: Liu et al., "Oscillation-free Quantization for Low-bit Vision Transformers", ICML 2023 (StatsQ); Liu et al.,
"Nonuniform-to-Uniform Quantization", CVPR 2022 (N2UQ).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, shared_dims
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec, check_choice, integer_range

Backward = Literal["statsq", "n2uq"]


class _OntoOddMultiples(torch.autograd.Function):
    """Rounds x / step - 1/2 onto n values on either side of 0; the gradient is the incoming one times ``slope``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, n: int, slope: Tensor | None) -> Tensor:
        ctx.save_for_backward(*([] if slope is None else [slope]))
        clipped = (x / (n * scale)).clamp(-1, 1 - 1e-6)
        codes = torch.round(n * clipped - 0.5) + n
        return (codes - (n - 0.5)) * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        return (grad * ctx.saved_tensors[0] if ctx.saved_tensors else grad), None, None, None


class StatsQuant(FakeQuant):
    """The grid of this fake quantizer follows the mean of |w|; there is no state.

    Args:
        bits: 2 to 8.
        backward: ``statsq`` or ``n2uq``.
        per_channel: one mean for each index of dimension 0, as in the papers, else one for the tensor.
        scale_factor: factor on the clip, > 0.
    """

    def __init__(self, bits: int, backward: Backward, *, per_channel: bool, scale_factor: float = 1.0) -> None:
        super().__init__()
        self.bits, self.backward_pass = bits, backward
        self.per_channel, self.scale_factor = per_channel, scale_factor

    def _mean(self, x: Tensor) -> Tensor:
        mean = x.detach().abs().mean(shared_dims(x, self.per_channel), keepdim=self.per_channel)
        return mean.clamp_min(SMALLEST_SCALE)

    def _scale(self, mean: Tensor) -> Tensor:
        factor: float = self.scale_factor / 2.0 ** (self.bits - 2)
        return mean * factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight."""
        mean, slope = self._mean(x), None
        if self.backward_pass == "n2uq":
            slope = 2 ** (self.bits - 1) / ((2**self.bits - 1) * mean)
        out: Tensor = _OntoOddMultiples.apply(x, self._scale(mean), 2 ** (self.bits - 1), slope)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale sf / n of the weight ``x``, zero point n - 1/2, codes 0 to 2n - 1."""
        assert x is not None, "the grid of StatsQ is a function of the weight"
        q = QParams.symmetric(self._scale(self._mean(x)), integer_range(self.bits, signed=False))
        return q._replace(zero_point=torch.full_like(q.scale, 2 ** (self.bits - 1) - 0.5))


class StatsQ(SiteQuantizer):
    """StatsQ rounds weights onto odd multiples of a share of their mean; it learns nothing of its own.

    Args:
        spec: what to quantize.
        backward: ``statsq`` or ``n2uq``, see the equations above.
        options: the settings of `SiteQuantizer`.
    """

    name = "statsq"
    is_base = True
    fixed_scale_reason = ""
    reference = "Liu et al., Oscillation-free Quantization, ICML 2023; grid of N2UQ, CVPR 2022"
    meaning = "rounding onto odd multiples of a share of the mean weight"
    beyond = "passed"
    family = "uniform"

    def __init__(self, spec: QuantSpec | None = None, *, backward: Backward = "statsq", **options: Any) -> None:
        super().__init__(spec, **options)
        check_choice("backward", backward, Backward)
        self.backward: Backward = backward

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the grid."""
        return StatsQuant(site.weight_bits, self.backward, per_channel=site.per_channel, scale_factor=self.scale_factor)
