r"""Iterative freezing: a weight that oscillates too often stays at its mean code for good.

    frozen where f > t;   its code is round(e) for good, dw_q/dw = 0
    t_k = t_1 + (t_0 - t_1) (1 + cos(pi k / steps)) / 2 after k steps, t_1 from then on

f and e are the oscillation rate and the mean code of `oscillation`; t_0 = 0.1 and t_1 = 0.01 are the paper's at 4 bits.
The code is fixed, not the value: a learned scale still moves it. Frozen latent weights are put on their value, so that
the optimizer's momentum takes them nowhere. The paper tracks widths of 4 bits and below; at 7 bits hardly a weight
oscillates in a few thousand steps, and the share that does is what `audit` of this method shows by its noise.

Reference: Nagel et al., "Overcoming Oscillations in Quantization-Aware Training", ICML 2022, section 4.2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant, codes_of
from .oscillation import Oscillations
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec


class FreezingQuant(OverQuant):
    """This fake quantizer holds the codes of weights that oscillated too often.

    Args:
        inner: the base's fake quantizer.
        weight: to begin with.
        bits: of the weight.
        thresholds: t_0 and t_1.
        steps: over which the threshold falls, at least 1.
    """

    frozen: Tensor
    fixed: Tensor

    def __init__(
        self, inner: FakeQuant, weight: Tensor, bits: int, *, thresholds: tuple[float, float], steps: int
    ) -> None:
        super().__init__(inner)
        self.bits, self.thresholds, self.steps = bits, thresholds, steps
        codes = codes_of(inner, weight, bits).codes
        self.oscillations = Oscillations(codes)
        self.register_buffer("frozen", torch.zeros_like(codes, dtype=torch.bool))
        self.register_buffer("fixed", codes.clone())

    def threshold(self, step: int) -> float:
        """Compute t after ``step`` optimizer steps."""
        start, end = self.thresholds
        return end + (start - end) * (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2

    def _value(self, x: Tensor) -> Tensor:
        """The fixed codes as weights, on the base's present grid."""
        return self.inner.qparams(x).qtensor(self.fixed, self.bits).dequantize()

    def forward(self, x: Tensor) -> Tensor:
        """Return the base's output, and the fixed value where a weight is frozen, in evaluation too."""
        return torch.where(self.frozen, self._value(x), self.inner(x))

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``frozen``, the share of the weights whose code is fixed, and ``rate``, the mean of f, both 0 to 1."""
        frozen, rate = float(self.frozen.float().mean()), float(self.oscillations.rate.mean())
        return {**super().own(x), "frozen": frozen, "rate": rate}

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Count what oscillated, freeze what did so too often, and put frozen weights on their value."""
        super().advance(weight, step)
        codes = torch.where(self.frozen, self.fixed, codes_of(self.inner, weight, self.bits).codes)
        self.oscillations.update(codes)
        new = (self.oscillations.rate > self.threshold(step)) & ~self.frozen
        q = self.inner.qparams(weight)
        mean = self.oscillations.mean.round().clamp(q.qmin, q.qmax)
        self.fixed.copy_(torch.where(new, mean.to(self.fixed.dtype), self.fixed))
        self.frozen |= new
        weight.copy_(torch.where(self.frozen, self._value(weight), weight))


class IterativeFreezing(OverQuantizer):
    """Iterative freezing fixes the codes of oscillating weights, over the grid of another quantizer.

    Args:
        spec: what to quantize; widths of at most 4 bits in the paper.
        start: t_0, the threshold of the oscillation rate at insertion, 0 to 1.
        end: t_1, the threshold after ``steps``, 0 to 1, at most ``start``.
        steps: over which the threshold falls, at least 1; the steps that are left after insertion.
        options: the settings of `OverQuantizer`.
    """

    name = "iterative_freezing"
    reference = "Nagel et al., Overcoming Oscillations in Quantization-Aware Training, ICML 2022"
    meaning = "rounding, with the codes of oscillating weights fixed"
    dead_weights = "codes of weights that oscillated are fixed"
    family = "schedule"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        start: float = 0.1,
        end: float = 0.01,
        steps: int = 100,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        if not 0 <= end <= start <= 1:
            raise ConfigError(
                f"thresholds must fall between 1 and 0, got start={start} and end={end}; write 0.1 and 0.01"
            )
        if steps < 1:
            raise ConfigError(f"steps must be at least 1, got {steps}; write the steps that are left after insertion")
        self.thresholds, self.steps = (start, end), steps

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `FreezingQuant`."""
        return FreezingQuant(inner, weight.detach(), site.weight_bits, thresholds=self.thresholds, steps=self.steps)
