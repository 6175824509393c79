r"""torchao, LearnableFakeQuantize: the successor of torch.ao's module of the same kind, with a trained scale.

    x_q = s (clip(round(x / s) + z, qmin, qmax) - z)
    ds: (round(x/s) + z clipped - z - x/s inside, qmin - z or qmax - z outside), times 1 / sqrt(N qmax), N = all values
    dz: -s outside, 0 inside, times the same factor;   dx = 1 inside (bounds included), 0 outside

s and z start from the minimum and maximum of the weight, and of inputs in calibration; then gradients move them. The
operator has no second derivative.

Ours: the module makes its parameters in its first forward, and then a checkpoint does not load into a new one, so one
forward comes before everything else; in the symmetric scheme z, which the module resets to 0 at each forward, is a
buffer and not a parameter; and the scale is kept positive after each step.

Reference: torchao 0.18, torchao.quantization.pt2e.LearnableFakeQuantize, https://github.com/pytorch/ao; after Esser et
al., "Learned Step Size Quantization", ICLR 2020.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from .base import LEARNING_RATE
from .fake_quant import FakeQuant, QParams
from .library import LibraryQuantizer
from .packages import TORCHAO
from .spec import SiteSpec
from .torch_ao import act_settings, forget_range, qparams_of, weight_settings
from .torchao_intx import torchao


class TorchaoLearnableQuant(FakeQuant):
    """This wraps a LearnableFakeQuantize: it estimates in calibration and learns otherwise.

    Args:
        settings: keyword arguments of the module and its observer, as `quantdg.quantizers.torch_ao` gives them.
        symmetric: the zero point is fixed at 0.
        example: of the shape that decides how many scales there are.
    """

    def __init__(self, settings: dict[str, Any], symmetric: bool, example: Tensor) -> None:
        super().__init__()
        pt2e = torchao("quantization.pt2e")
        settings = dict(settings)
        settings["dtype"] = torch.int8 if settings["dtype"] is torch.qint8 else torch.uint8
        settings["observer"] = pt2e.PerChannelMinMaxObserver if "ch_axis" in settings else pt2e.MinMaxObserver
        self.fake: Any = pt2e.LearnableFakeQuantize(**settings, use_grad_scaling=True)
        self.symmetric = symmetric
        self.fake(example)
        if symmetric:
            zero = self.fake.zero_point.detach()
            del self.fake.zero_point
            self.fake.register_buffer("zero_point", zero)
        self._learn()

    def _learn(self) -> None:
        self.fake.enable_range_learning()
        if self.symmetric:
            self.fake.zero_point.requires_grad_(False)

    def restart(self) -> None:
        """Let the next calibration batch set the range."""
        forget_range(self.fake.activation_post_process)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; calibration sets scale and zero point first."""
        if not self.calibrating:
            return cast(Tensor, self.fake(x))
        self.fake.enable_observer()
        try:
            return cast(Tensor, self.fake(x))
        finally:
            self._learn()

    def project(self) -> None:
        """Keep the scale positive."""
        self.fake.scale.data.clamp_(min=self.fake.eps)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the learned grid, the zero point rounded and clipped as in the forward."""
        return qparams_of(self.fake)


class TorchaoLearnable(LibraryQuantizer):
    """torchao's operator trains scales and, for affine grids, zero points.

    After weight averaging the averaged values stay (``averaged="average"``) or start anew (``"recalibrate"``).
    """

    name = "torchao_learnable"
    family = "learned"
    reference = "torchao 0.18, LearnableFakeQuantize, after LSQ"
    meaning = "rounding with a learned scale, as torchao implements it"
    requires = TORCHAO
    double_backward = False
    affine = True
    averages = ("average", "recalibrate")
    ranges = LEARNING_RATE

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor, from the weight's range on."""
        return TorchaoLearnableQuant(weight_settings(site), site.symmetric, weight)

    @torch.no_grad()
    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use unsigned affine codes, with one scale and zero point for the tensor."""
        return TorchaoLearnableQuant(act_settings(site), symmetric=False, example=torch.ones(1))
