r"""torch.ao, learnable: the framework's fake quantization with a trained scale.

    x_q = s (clip(round(x / s) + z, qmin, qmax) - z)
    ds: (round(x/s) + z clipped - z - x/s inside, qmin - z or qmax - z outside), times 1 / sqrt(N qmax), N = all values
    dz: -s outside, 0 inside, times the same factor;   dx = 1 inside, 0 outside

s and z start from the moving-average min and max of calibration (see `quantdg.quantizers.torch_ao`), then gradients
move them and no range is observed. In the symmetric scheme the module resets z to 0 at every forward, so here it is a
buffer and not a parameter. The operator has no second derivative.

Reference: torch.ao.quantization, ``_LearnableFakeQuantize``; after Esser et al., "Learned Step Size Quantization",
ICLR 2020, and Jain et al., "Trained Quantization Thresholds", MLSys 2020.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.ao.quantization._learnable_fake_quantize import _LearnableFakeQuantize

from .base import LEARNING_RATE
from .fake_quant import FakeQuant, QParams
from .sites import SiteQuantizer
from .spec import SiteSpec
from .torch_ao import act_settings, forget_range, qparams_of, scale_range, weight_settings


class TorchAOLearnableQuant(FakeQuant):
    """This wraps a _LearnableFakeQuantize module of torch.ao: it estimates in calibration and learns otherwise.

    Args:
        settings: keyword arguments of the module and its observer.
        symmetric: the zero point is fixed at 0.
        channels: number of scales, or -1 for one.
    """

    def __init__(self, settings: dict[str, Any], symmetric: bool, channels: int = -1) -> None:
        super().__init__()
        backend: Any = _LearnableFakeQuantize
        self.fake = backend(**settings, channel_len=channels, use_grad_scaling=True)
        self.fake.enable_param_learning()
        if symmetric:
            zero = self.fake.zero_point.detach()
            del self.fake.zero_point
            self.fake.register_buffer("zero_point", zero)

    def restart(self) -> None:
        """Let the next calibration batch set the range."""
        forget_range(self.fake.activation_post_process)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; calibration sets scale and zero point first."""
        if not self.calibrating:
            return cast(Tensor, self.fake(x))
        self.fake.toggle_observer_update(True)
        try:
            return cast(Tensor, self.fake(x))
        finally:
            self.fake.toggle_observer_update(False)

    def project(self) -> None:
        """Keep the scale positive; the module would do so itself, but in the next forward, eval included."""
        self.fake.scale.data.clamp_(min=self.fake.eps)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the learned grid, the zero point rounded and clipped as in the forward."""
        return qparams_of(self.fake)


class TorchAOLearnable(SiteQuantizer):
    """torch.ao's operator trains scales and, for affine grids, zero points.

    After weight averaging the averaged values stay (``averaged="average"``) or start anew (``"recalibrate"``).
    """

    name = "torch_ao_learnable"
    is_base = True
    fixed_scale_reason = ""
    reference = "torch.ao.quantization _LearnableFakeQuantize, after LSQ"
    meaning = "rounding with a learned scale, as torch.ao implements it"
    family = "learned"
    double_backward = False
    affine = True
    averages = ("average", "recalibrate")
    ranges = LEARNING_RATE

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor, from the weight's range times scale_factor on."""
        channels = weight.shape[0] if site.per_channel else -1
        quant = TorchAOLearnableQuant(weight_settings(site), site.symmetric, channels).to(weight.device)
        scale_range(quant.fake.activation_post_process, self.scale_factor)
        quant.calibrating = True
        quant(weight)
        quant.calibrating = False
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use unsigned affine codes, with one scale and zero point for the tensor."""
        return TorchAOLearnableQuant(act_settings(site), symmetric=False)
