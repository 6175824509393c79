r"""Toggle: quantization goes off and on in blocks of steps, to end on.

    block k = floor(steps done / period);   training: w' = w_q in even blocks, w in odd ones;   eval: w' = w_q

A control for the claim that a while of quantization noise finds flat minima: noise that comes and goes against noise
that stays. HLHLp alternates high and low precision with abrupt changes of the rate; its schedule could not be read, so
period and blocks are our reading, and the rate is the protocol's.

Reference: Shin, Boo and Sung, "Quantized Neural Networks: Characterization and Holistic Optimization" and "HLHLp:
Quantized Neural Networks Training for Reaching Flat Minima in Loss Surface", AAAI 2020 (abstract).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec


class TogglingQuant(OverQuant):
    """This fake quantizer passes the weight itself in every second block of training steps.

    Args:
        inner: the base's fake quantizer.
        period: steps of a block, at least 1.

    Attributes:
        done: steps since insertion, as the last one told; 0 before any.
    """

    off: Tensor

    def __init__(self, inner: FakeQuant, period: int) -> None:
        super().__init__(inner)
        self.period, self.done = period, 0
        self.register_buffer("off", torch.tensor(False))

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return the quantized weight, or x itself in a block without quantization."""
        return torch.where(self.off, x, quantized)

    def advance(self, weight: Tensor, step: int) -> None:
        """Begin the next block where it is due."""
        super().advance(weight, step)
        self.done = step
        self.off.fill_(step // self.period % 2 == 1)

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``quantized``, the share of the steps since insertion that saw the quantized weight, 0 to 1; none before a step."""
        if not self.done:
            return super().own(x)
        pairs, rest = divmod(self.done, 2 * self.period)
        return {**super().own(x), "quantized": (pairs * self.period + min(rest, self.period)) / self.done}


class Toggle(OverQuantizer):
    """Toggle switches the quantization of another quantizer off and on.

    Args:
        spec: what to quantize.
        period: steps of a block, at least 1; the training should end in an even block, counted from 0.
        options: the settings of `OverQuantizer`.
    """

    name = "toggle"
    reference = "after Shin et al., HLHLp, AAAI 2020 (our reading of the abstract)"
    meaning = "rounding in every second block of steps"
    family = "schedule"
    ranges = LEARNING_RATE

    def __init__(self, spec: QuantSpec | None = None, *, period: int = 20, **options: Any) -> None:
        super().__init__(spec, **options)
        if period < 1:
            raise ConfigError(f"period must be at least 1, got {period}; write for example period=20")
        self.period = period

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `TogglingQuant`."""
        return TogglingQuant(inner, self.period)
