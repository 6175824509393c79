r"""APoT: levels that are sums of a few powers of two, below a learned clip.

    w_q = s l(clip(w / s, -1, 1)),   s = alpha sqrt(E w^2),   l: the nearest of the levels
    levels = +-(p_0 + ... + p_(N-1)) / max,   p_i from {0, 2^-i, 2^-(i+N), 2^-(i+2N)},   N = (b - 1) / 2
    dw_q/dw = 1 inside the clip, else 0
    dw_q/dalpha = (l(w / s) - w / s) sqrt(E w^2) inside, sign(w) sqrt(E w^2) outside

alpha starts at 3. The paper quantizes (w - mean) / std and leaves it there; BatchNorm frozen as in domain
generalization expects the weights as they were, so nothing is subtracted and the scale is multiplied back. An even b
takes one set with a single power more; the levels are those published, for 2 to 7 bits.

Reference: Li, Dong and Wang, "Additive Powers-of-Two Quantization: An Efficient Non-uniform Discretization for Neural
Networks", ICLR 2020, sections 2.2 and 2.3.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from .base import LEARNING_RATE
from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, midpoints, scale_shape, shared_dims
from .sites import SiteQuantizer
from .spec import SiteSpec

START = 3.0
EXPONENTS: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((0,),),
    3: ((0, 1, 2),),
    4: ((0, 1, 3), (2,)),
    5: ((0, 2, 4), (1, 3, 5)),
    6: ((0, 2, 5), (1, 3, 6), (4,)),
    7: ((0, 3, 6), (1, 4, 7), (2, 5, 8)),
}
"""Of each set, by bits: the powers 2^-e beside 0, one of which each set adds to a level."""


def additive_powers(bits: int) -> Tensor:
    """Return the code book, rising from -1 to 1: 2^bits - 1 levels with 0 among them."""
    sets = [(0.0, *(2.0**-e for e in exponents)) for exponents in EXPONENTS[bits]]
    positive = torch.tensor(sorted({sum(parts) for parts in product(*sets)}))
    positive /= positive[-1].clone()
    return torch.cat([-positive[1:].flip(0), positive])


class _ClipToLevels(torch.autograd.Function):
    """Rounds x / scale onto the levels; gradients of the reparameterized clipping function."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, levels: Tensor) -> Tensor:
        v = x / scale
        rounded = levels[torch.bucketize(v, midpoints(levels))]
        ctx.save_for_backward(v, rounded, scale)
        return rounded * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,), (v, rounded, scale) = grads, (t.detach() for t in ctx.saved_tensors)
        inside = v.abs() <= 1
        slope = torch.where(inside, rounded - v, rounded)
        return grad * inside, (grad * slope).sum_to_size(scale.shape), None


class APoTQuant(FakeQuant):
    """This fake quantizer has a learned clip in units of the weight's root mean square.

    Args:
        bits: a key of `EXPONENTS`.
        shape: of the clip: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        scale_factor: factor on the start, > 0.
    """

    levels: Tensor

    def __init__(self, bits: int, shape: tuple[int, ...], scale_factor: float = 1.0) -> None:
        super().__init__()
        self.start = START * scale_factor
        self.alpha = nn.Parameter(torch.full(shape, self.start))
        self.register_buffer("levels", additive_powers(bits))

    def _rms(self, x: Tensor) -> Tensor:
        per_channel = self.alpha.dim() > 0
        mean = x.detach().square().mean(shared_dims(x, per_channel), keepdim=per_channel)
        return mean.sqrt().clamp_min(SMALLEST_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight; calibration puts the clip back to its start first."""
        if self.calibrating:
            self.alpha.data.fill_(self.start)
        out: Tensor = _ClipToLevels.apply(x, self.alpha * self._rms(x), self.levels)
        return out

    def project(self) -> None:
        """Keep the clip positive: the update may overshoot zero."""
        self.alpha.data.clamp_(min=SMALLEST_SCALE)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the code book with scale alpha sqrt(E w^2) of the weight ``x``."""
        assert x is not None, "the scale of APoT is a function of the weight"
        return QParams.of_levels(self.alpha * self._rms(x), self.levels)


class APoT(SiteQuantizer):
    """APoT rounds weights onto sums of powers of two below learned clips."""

    name = "apot"
    is_base = True
    fixed_scale_reason = ""
    averages = ("average", "recalibrate")
    reference = "Li et al., Additive Powers-of-Two Quantization, ICLR 2020 (scale preserving)"
    meaning = "rounding onto sums of powers of two below a learned clip"
    family = "non-uniform"
    ranges = LEARNING_RATE

    def refuses(self, site: SiteSpec) -> str:
        """Refuse widths without published levels."""
        if site.weight_bits not in EXPONENTS:
            return f"APoT has levels for 2 to 7 bits, got weight_bits={site.weight_bits}"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a clip for each output channel, or one for the tensor as in the paper."""
        return APoTQuant(site.weight_bits, scale_shape(weight, site.per_channel), self.scale_factor)
