r"""Straight-through with and without a clip mask: whether weights beyond the grid still learn, over any grid.

    clip_mask=true:   dw_q/dw = 0 where w is below the lowest or above the highest value of the grid, else the base's
    clip_mask=false:  dw_q/dw = 1 there, else the base's

The values are the base's, and so is what its scale learns. A weight that is masked comes back only by weight decay or
where the grid grows; one that is not masked feels a gradient that its own move does not change. `min_max`, `mse` and
`percentile` have the same choice of their own (``gradient``).

Reference: Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv
1308.3432 (identity); Hubara et al., "Binarized Neural Networks", NeurIPS 2016 (masked beyond the clip).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .base import LEARNING_RATE
from .fake_quant import FakeQuant
from .grid_pull import ends_of
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec


class StraightThroughQuant(OverQuant):
    """This fake quantizer decides about the gradient of weights beyond the grid.

    Args:
        inner: the base's fake quantizer.
        clip_mask: whether that gradient is stopped.
    """

    def __init__(self, inner: FakeQuant, *, clip_mask: bool) -> None:
        super().__init__(inner)
        self.clip_mask = clip_mask

    def forward(self, x: Tensor) -> Tensor:
        """Return the base's output."""
        low, high = ends_of(self.inner.qparams(x.detach()), x)
        beyond = ((x < low) | (x > high)).detach()
        out: Tensor = self.inner(torch.where(beyond, x.detach(), x))
        return out if self.clip_mask else out + torch.where(beyond, x - x.detach(), 0.0)


class StraightThrough(OverQuantizer):
    """Straight-through sets what weights beyond the grid of another quantizer learn.

    Args:
        spec: what to quantize.
        clip_mask: whether they get no gradient.
        options: the settings of `OverQuantizer`.
    """

    name = "straight_through"
    reference = "Bengio et al., arXiv 1308.3432; masked: Hubara et al., NeurIPS 2016"
    meaning = "rounding, with a gradient for weights beyond the grid or without"
    family = "estimator"
    ranges = LEARNING_RATE

    def __init__(self, spec: QuantSpec | None = None, *, clip_mask: bool = False, **options: Any) -> None:
        super().__init__(spec, **options)
        self.clip_mask = clip_mask
        self.beyond = "stopped" if clip_mask else "passed"

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `StraightThroughQuant`."""
        return StraightThroughQuant(inner, clip_mask=self.clip_mask)
