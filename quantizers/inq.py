r"""INQ: weights become powers of two in portions, the largest first, and each portion stays as it is.

    m = max|w|,  n1 = floor(log2(4 m / 3)),  n2 = n1 + 1 - 2^(b-2),  levels {0, +-2^n2, ..., +-2^n1}

A weight goes to the level whose neighbours' midpoints enclose it; one on a midpoint goes outward (paper, equation 4). At
insertion and after each ``every`` steps the largest |w| among those still free are put on their levels and never move
again, until the accumulated portions say (.5, .75, .875, 1 in the paper); the free ones train in float and make up for
the error. m is that of insertion.

An evaluation sees every weight on its level, also those still free: that is the model that would be deployed. So a
checkpoint before the last portion pays for rounding what was not yet trained for it. With portions used up all the
quantized layers are frozen: compare with the controls ``freeze`` and ``round_freeze``. The grid has relative noise
near .2 at any width above 3 bits.

Reference: Zhou et al., "Incremental Network Quantization: Towards Lossless CNNs with Low-Precision Weights",
ICLR 2017, sections 2.1 and 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .fake_quant import FakeQuant, QParams, midpoints, shared_dims
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec

FREE = math.inf


def powers_of_two(bits: int) -> Tensor:
    """Return the code book in units of 2^n1: -1, ..., -2^(1 - n), 0, 2^(1 - n), ..., 1 with n = 2^(bits - 2)."""
    positive = 2.0 ** torch.arange(1 - 2 ** (bits - 2), 1)
    return torch.cat([-positive.flip(0), torch.zeros(1), positive])


class INQQuant(FakeQuant):
    """This fake quantizer has a power-of-two grid on which it holds the largest weights.

    Args:
        weight: sets the grid's top, and the shape of ``kept``, the values of the weights put on it; infinite for a
            weight still free.
        bits: 2 to 8.
        per_channel: one top for each index of dimension 0, else one for the tensor as in the paper.

    Attributes:
        every: optimizer steps between two portions.
        portions: accumulated share of the weights held; the first at insertion.
    """

    every: int = 1
    portions: tuple[float, ...] = ()
    levels: Tensor
    top: Tensor
    kept: Tensor

    def __init__(self, weight: Tensor, bits: int, per_channel: bool) -> None:
        super().__init__()
        largest = weight.detach().abs().amax(shared_dims(weight, per_channel), keepdim=per_channel)
        largest = largest.clamp_min(torch.finfo(torch.float32).tiny)
        self.register_buffer("levels", powers_of_two(bits))
        self.register_buffer("top", 2.0 ** torch.floor(torch.log2(4 * largest / 3)))
        self.register_buffer("kept", torch.full_like(weight, FREE, requires_grad=False))

    def on_grid(self, x: Tensor) -> Tensor:
        """Put every value on its level."""
        sizes = self.levels[len(self.levels) // 2 :]
        nearest = sizes[torch.bucketize(x.detach().abs() / self.top, midpoints(sizes), right=True)]
        return torch.where(x < 0, -nearest, nearest) * self.top

    def forward(self, x: Tensor) -> Tensor:
        """Return held values and, in training, the free weights, through which gradients flow; else all on their levels."""
        if self.training and not self.calibrating:
            return torch.where(torch.isinf(self.kept), x, self.kept)
        return torch.where(torch.isinf(self.kept), self.on_grid(x), self.kept)

    def hold(self, x: Tensor, portion: float) -> None:
        """Put the largest free weights on their levels until ``portion`` of all weights, 0 to 1, is held."""
        free = torch.isinf(self.kept)
        wanted = round(portion * x.numel()) - int((~free).sum())
        if wanted > 0:
            score = torch.where(free, x.detach().abs(), -1.0)
            chosen = score.flatten().topk(wanted).indices
            self.kept.view(-1)[chosen] = self.on_grid(x).reshape(-1)[chosen]

    def advance(self, weight: Tensor, step: int) -> None:
        """Hold the next portion when it is due, and undo what the optimizer's momentum did to held weights."""
        number, left = divmod(step, self.every)
        if left == 0 and number < len(self.portions):
            self.hold(weight, self.portions[number])
        weight.copy_(torch.where(torch.isinf(self.kept), weight, self.kept))

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the code book with scale 2^n1."""
        return QParams.of_levels(self.top, self.levels)


class INQ(SiteQuantizer):
    """INQ quantizes weights incrementally.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`; without effect, since INQ adds no parameter.
        seed: as for `Quantizer`; without effect, since INQ draws nothing.
        averaged: only ``keep``: after weight averaging held values and levels stay.
        scale_factor: only 1, since the scale is fixed.
        every: training steps between two portions, at least 1; the last comes after ``every * (len(portions) - 1)``.
        portions: accumulated share of the weights held, rising, the last 1.
    """

    name = "inq"
    fixed_scale_reason = "its levels are powers of two below the largest weight"
    averages = ("keep",)
    reference = "Zhou et al., Incremental Network Quantization, ICLR 2017"
    meaning = "putting weights onto powers of two in portions, the largest first"
    dead_weights = "what is on its level stays there"
    family = "non-uniform"

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        scale_factor: float = 1.0,
        every: int = 24,
        portions: Sequence[float] = (0.5, 0.75, 0.875, 1.0),
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged, scale_factor=scale_factor)
        rising = all(a < b for a, b in pairwise(portions))
        if not portions or not rising or portions[0] <= 0 or portions[-1] != 1:
            raise ConfigError(f"portions must rise from above 0 to 1, got {tuple(portions)}; write [0.5, 0.75, 1]")
        if every < 1:
            raise ConfigError(f"every must be at least 1, got {every}; write for example every=24")
        self.every, self.portions = every, tuple(portions)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a grid below the largest weight and hold the first portion."""
        quant = INQQuant(weight, site.weight_bits, site.per_channel)
        quant.every, quant.portions = self.every, self.portions
        quant.hold(weight, self.portions[0])
        return quant
