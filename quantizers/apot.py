r"""APoT: levels that are sums of a few powers of two, below a learned clip.

    w_q = s l(clip(w / s, -1, 1)),   s = alpha sqrt(E w^2),   l: the nearest of the levels
    levels = +-(p_0 + ... + p_(N-1)) / max,   p_i from {0, 2^-i, 2^-(i+N), 2^-(i+2N)},   N = (b - 1) / 2
    dw_q/dw = 1 inside the clip, else 0
    dw_q/dalpha = (l(w / s) - w / s) sqrt(E w^2) inside, sign(w) sqrt(E w^2) outside

alpha starts at 3. The paper quantizes (w - mean) / std and leaves it there; BatchNorm frozen as in domain
generalization expects the weights as they were, so nothing is subtracted and the scale is multiplied back. An even b
takes one set with a single power more; the levels are those published, for 2, 3, 4, 5 and 7 bits.

Reference: Li, Dong and Wang, "Additive Powers-of-Two Quantization: An Efficient Non-uniform Discretization for Neural
Networks", ICLR 2020, sections 2.2 and 2.3.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from .sites import FakeQuant, QParams, SiteQuantizer
from .spec import SiteSpec

START = 3.0
SMALLEST = 1e-8
EXPONENTS: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((0,),),
    3: ((0, 1, 2),),
    4: ((0, 1, 3), (2,)),
    5: ((0, 2, 4), (1, 3, 5)),
    7: ((0, 3, 6), (1, 4, 7), (2, 5, 8)),
}
"""Of each set, by bits: the powers 2^-e beside 0, one of which each set adds to a level."""


def additive_powers(bits: int) -> Tensor:
    """The code book, rising from -1 to 1: 2^bits - 1 levels with 0 among them."""
    sets = [(0.0, *(2.0**-e for e in exponents)) for exponents in EXPONENTS[bits]]
    positive = torch.tensor(sorted({sum(parts) for parts in product(*sets)}))
    positive /= positive[-1].clone()
    return torch.cat([-positive[1:].flip(0), positive])


class _ClipToLevels(torch.autograd.Function):
    """Rounds x / step onto the levels; gradients of the reparameterized clipping function."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, levels: Tensor) -> Tensor:
        v = x / step
        rounded = levels[torch.bucketize(v, (levels[1:] + levels[:-1]) / 2)]
        ctx.save_for_backward(v, rounded, step)
        return rounded * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,), (v, rounded, step) = grads, (t.detach() for t in ctx.saved_tensors)
        inside = v.abs() <= 1
        dims = [d for d in range(v.dim()) if step.dim() == 0 or step.shape[d] == 1]
        slope = torch.where(inside, rounded - v, rounded)
        return grad * inside, (grad * slope).sum(dims, keepdim=step.dim() > 0), None


class APoTQuant(FakeQuant):
    """A learned clip in units of the weight's root mean square.

    Args:
        bits: a key of `EXPONENTS`.
        shape: of the clip: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        step_scale: factor on the start, > 0.
    """

    levels: Tensor

    def __init__(self, bits: int, shape: tuple[int, ...], step_scale: float = 1.0) -> None:
        super().__init__()
        self.start = START * step_scale
        self.alpha = nn.Parameter(torch.full(shape, self.start))
        self.register_buffer("levels", additive_powers(bits))

    def _rms(self, x: Tensor) -> Tensor:
        per_channel = self.alpha.dim() > 0
        dims = tuple(range(1 if per_channel else 0, x.dim()))
        return x.detach().square().mean(dims, keepdim=per_channel).sqrt().clamp_min(SMALLEST)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized weight; calibration puts the clip back to its start first."""
        if self.calibrating:
            self.alpha.data.fill_(self.start)
        out: Tensor = _ClipToLevels.apply(x, self.alpha * self._rms(x), self.levels)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """The code book with scale alpha sqrt(E w^2) of the weight ``x``."""
        assert x is not None, "the scale of APoT is a function of the weight"
        scale = (self.alpha.detach() * self._rms(x)).reshape(-1 if self.alpha.dim() else ())
        axis = 0 if self.alpha.dim() else None
        return QParams(scale, torch.zeros_like(scale), 0, len(self.levels) - 1, axis, self.levels)


class APoT(SiteQuantizer):
    """Additive powers of two on weights, with learned clips."""

    name = "apot"
    step_is_fixed = ""
    averages = ("average", "recalibrate")
    reference = "Li et al., Additive Powers-of-Two Quantization, ICLR 2020 (scale preserving)"
    meaning = "rounding onto sums of powers of two below a learned clip"

    def refuses(self, site: SiteSpec) -> str:
        """Widths without published levels."""
        if site.weight_bits not in EXPONENTS:
            return f"APoT has levels for 2, 3, 4, 5 and 7 bits, got weight_bits={site.weight_bits}"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """A clip for each output channel, or one for the tensor as in the paper."""
        per_channel = site.granularity == "per_channel"
        shape = (weight.shape[0], *[1] * (weight.dim() - 1)) if per_channel else ()
        return APoTQuant(site.weight_bits, shape, self.step_scale)

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Keep clips positive."""
        for name in self.plan.parameters:
            model.get_parameter(name).clamp_(min=SMALLEST)
