r"""Quant-Noise: each step quantizes a random share of the weights, the others train in float.

    training: w' = w_q with probability p, else w, drawn weight by weight afresh each step;   eval: w' = w_q

Gradients: those of the base where it rounds, 1 elsewhere. p = 1 is the base itself. The paper draws blocks of weights
for product quantization and single weights for integer grids; this is the latter. The draw is a function of (seed,
layer name, step), so a second pass within a step sees the same weights.

Reference: Fan et al., "Training with Quantization Noise for Extreme Model Compression", ICLR 2021, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .draws import Draws
from .fake_quant import FakeQuant
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec


class PartlyQuant(OverQuant):
    """This fake quantizer shows a random share of the weights quantized in training.

    Args:
        inner: the base's fake quantizer.
        share: p, above 0 to 1.
        draws: of this layer.
    """

    def __init__(self, inner: FakeQuant, share: float, draws: Draws) -> None:
        super().__init__(inner)
        self.share, self.draws = share, draws

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return the quantized weight where this step's draw says so, else the weight."""
        return torch.where(self.draws.uniform(x) < self.share, quantized, x)

    def advance(self, weight: Tensor, step: int) -> None:
        """Let the next forward draw anew."""
        super().advance(weight, step)
        self.draws.count(step)


class QuantNoise(OverQuantizer):
    """Quant-Noise quantizes a random share of the weights at each step, over the grid of another quantizer.

    Args:
        spec: what to quantize.
        share: p, the probability that a weight is quantized in a step, above 0 to 1.
        options: the settings of `OverQuantizer`.
    """

    name = "quant_noise"
    reference = "Fan et al., Training with Quantization Noise, ICLR 2021"
    meaning = "rounding a random share of the weights at each step"
    family = "schedule"
    ranges = LEARNING_RATE

    def __init__(self, spec: QuantSpec | None = None, *, share: float = 0.5, **options: Any) -> None:
        super().__init__(spec, **options)
        if not 0 < share <= 1:
            raise ConfigError(f"share must lie above 0 and be at most 1, got {share}; write for example share=0.5")
        self.share = share
        self.beyond = "any"

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `PartlyQuant`."""
        return PartlyQuant(inner, self.share, Draws(self.seed, site.name))
