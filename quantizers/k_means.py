r"""k-means: a code book found by clustering the weights, whose levels then train.

    start: 2^b levels, evenly spaced over the weights in units of max|w|, then Lloyd's iterations
    w_q = s l(w / s),   dw_q/dw = 1,   dw_q/dl_k = s at the weights on level k

One code book a layer; with scales per channel the channels share it. The paper ties the weights of a cluster and trains
only the levels; here the weights train too and may change level, so that the method compares with the others.
``learn=false`` keeps the levels as clustered.

Reference: Han, Mao and Dally, "Deep Compression", ICLR 2016, section 3 (linear start, gradient of a shared weight);
Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 1982. Scale: `levels`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant, largest, midpoints
from .levels import LevelsQuant
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec

_APART = 1e-6
"""Trained levels stay this far apart, in units of the largest weight."""


def lloyd(values: Tensor, levels: Tensor, iterations: int) -> Tensor:
    """Move rising levels to the means of the values nearest to them, ``iterations`` times; an empty level stays."""
    for _ in range(iterations):
        index = torch.bucketize(values, midpoints(levels))
        count = torch.bincount(index, minlength=len(levels))
        total = torch.zeros_like(levels).index_add_(0, index, values)
        levels = torch.where(count > 0, total / count.clamp_min(1), levels).sort().values
    return levels


class KMeansQuant(LevelsQuant):
    """The levels of this fake quantizer are Parameters."""

    @torch.no_grad()
    def project(self) -> None:
        """Keep the levels rising: an update may move one past its neighbour."""
        apart = _APART * torch.arange(len(self.levels), device=self.levels.device)
        self.levels.copy_((self.levels - apart).cummax(0).values + apart)


class KMeans(SiteQuantizer):
    """k-means rounds weights onto a code book of their clusters.

    Args:
        spec: what to quantize.
        iterations: of Lloyd's algorithm, at least 0; 0 keeps evenly spaced levels.
        learn: whether the levels train.
        options: the settings of `SiteQuantizer`.
    """

    name = "k_means"
    is_base = True
    fixed_scale_reason = ""
    reference = "Han et al., Deep Compression, ICLR 2016 (weights train on)"
    meaning = "rounding onto a code book of the weights' clusters"
    beyond = "passed"
    family = "non-uniform"
    ranges = LEARNING_RATE

    def __init__(
        self, spec: QuantSpec | None = None, *, iterations: int = 20, learn: bool = True, **options: Any
    ) -> None:
        super().__init__(spec, **options)
        if iterations < 0:
            raise ConfigError(f"iterations must be at least 0, got {iterations}; write for example iterations=20")
        self.iterations, self.learn = iterations, learn

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Cluster the weights in units of their scale."""
        values = (weight / largest(weight, site.per_channel)).flatten()
        low, high = values.aminmax()
        even = low + (high - low) * torch.linspace(0, 1, 2**site.weight_bits, device=weight.device)
        levels = lloyd(values, even, self.iterations)
        quant = KMeansQuant(
            nn.Parameter(levels) if self.learn else levels,
            per_channel=site.per_channel,
            scale_factor=self.scale_factor,
        )
        quant.project()
        return quant
