r"""torch.ao: the framework's own fake quantization with moving-average ranges; nothing is learned.

    s = (max - min) / (qmax - qmin),  z = qmin - round(min / s)          affine
    s = max(|min|, |max|) / ((qmax - qmin) / 2),  z = 0                   symmetric
    x_q = s (clip(round(x / s) + z, qmin, qmax) - z),   dx_q/dx = 1 inside the range, else 0

min and max are moving averages, m <- m + 0.01 (batch - m), over calibration and training forwards, with 0 always
inside; the first batch sets them. Weights use -2^(b-1) .. 2^(b-1) - 1 per channel or tensor, inputs 0 .. 2^b - 1
per tensor, affine. The FakeQuantize modules and observers of torch.ao.quantization do the work; only their insertion
is ours, so that module classes, train() and state-dict keys survive.

Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, section 3, as implemented in torch.ao.quantization.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.ao.quantization.fake_quantize import FakeQuantize
from torch.ao.quantization.observer import MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver

from .fake_quant import FakeQuant, QParams, flatten_scale
from .sites import SiteQuantizer
from .spec import SiteSpec, integer_range


class _ScaledRange:
    """Mixin of an observer: the range it reports is ``range_scale`` times the one it saw."""

    range_scale: float

    def calculate_qparams(self) -> Any:
        """Compute scale and zero point of the scaled range."""
        observer = cast(Any, self)
        return observer._calculate_qparams(observer.min_val * self.range_scale, observer.max_val * self.range_scale)


class ScaledPerTensor(_ScaledRange, MovingAverageMinMaxObserver):  # type: ignore[misc]
    """This observer has one scaled range; the class has a name of its own, so that a model with it pickles."""


class ScaledPerChannel(_ScaledRange, MovingAveragePerChannelMinMaxObserver):  # type: ignore[misc]
    """This observer has a scaled range for each channel."""


def scale_range(observer: Any, factor: float) -> None:
    """Let an observer report ``factor`` times its range: the codes stay, values outside are clipped."""
    if factor != 1:
        per_channel = isinstance(observer, MovingAveragePerChannelMinMaxObserver)
        observer.__class__ = ScaledPerChannel if per_channel else ScaledPerTensor
        observer.range_scale = factor


def weight_settings(site: SiteSpec) -> dict[str, Any]:
    """Return observer class, storage type, scheme and code range of a weight as keyword arguments of torch.ao."""
    codes = integer_range(site.weight_bits)
    schemes = {
        (True, True): torch.per_channel_symmetric,
        (True, False): torch.per_channel_affine,
        (False, True): torch.per_tensor_symmetric,
        (False, False): torch.per_tensor_affine,
    }
    settings: dict[str, Any] = {"ch_axis": 0} if site.per_channel else {}
    return settings | {
        "observer": MovingAveragePerChannelMinMaxObserver if site.per_channel else MovingAverageMinMaxObserver,
        "dtype": torch.qint8,
        "qscheme": schemes[site.per_channel, site.symmetric],
        "quant_min": codes.qmin,
        "quant_max": codes.qmax,
    }


def act_settings(site: SiteSpec) -> dict[str, Any]:
    """Return the same for a layer input: unsigned storage, affine, one range for the tensor."""
    assert site.act_bits is not None
    codes = integer_range(site.act_bits, signed=False)
    return {
        "observer": MovingAverageMinMaxObserver,
        "dtype": torch.quint8,
        "qscheme": torch.per_tensor_affine,
        "quant_min": codes.qmin,
        "quant_max": codes.qmax,
    }


def forget_range(observer: Any) -> None:
    """Let the next batch set an observer's range; its own reset would move the buffers to the CPU."""
    if observer.min_val.dim():
        observer.min_val.resize_(0)
        observer.max_val.resize_(0)
    else:
        observer.min_val.fill_(torch.inf)
        observer.max_val.fill_(-torch.inf)


def qparams_of(fake: Any) -> QParams:
    """Read the grid of a torch.ao fake quantizer, learnable or not."""
    per_channel = fake.qscheme in (torch.per_channel_symmetric, torch.per_channel_affine)
    zero_point = fake.zero_point.detach().round().clamp(fake.quant_min, fake.quant_max)
    return QParams(
        scale=flatten_scale(fake.scale.detach(), per_channel),
        zero_point=flatten_scale(zero_point, per_channel),
        qmin=fake.quant_min,
        qmax=fake.quant_max,
        axis=fake.ch_axis if per_channel else None,
    )


class TorchAOQuant(FakeQuant):
    """This wraps a FakeQuantize module of torch.ao whose observer runs only where ranges may move.

    Args:
        settings: keyword arguments of ``module`` and its observer.
        module: the class of the module, FakeQuantize or one with its interface.
    """

    def __init__(self, settings: dict[str, Any], module: Any = FakeQuantize) -> None:
        super().__init__()
        self.fake = module(**settings)
        self.fake.disable_observer()

    def restart(self) -> None:
        """Let the next observed batch set the range."""
        forget_range(self.fake.activation_post_process)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; in training and in calibration x is observed first."""
        if not self.observing:
            return cast(Tensor, self.fake(x))
        self.fake.enable_observer()
        try:
            return cast(Tensor, self.fake(x))
        finally:
            self.fake.disable_observer()

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid of the last observation."""
        return qparams_of(self.fake)


class TorchAO(SiteQuantizer):
    """torch.ao keeps moving-average ranges of weights and, where the spec asks for it, of layer inputs.

    After weight averaging the ranges are stale: ``averaged="recalibrate"`` observes them anew, ``"keep"`` does not.
    """

    name = "torch_ao"
    is_base = True
    fixed_scale_reason = ""
    reference = "Jacob et al., CVPR 2018, in torch.ao.quantization"
    meaning = "rounding within moving-average ranges, as torch.ao implements it"
    family = "uniform"
    affine = True
    averages = ("recalibrate", "keep")

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor; the range seen here is multiplied by scale_factor."""
        quant = TorchAOQuant(weight_settings(site)).to(weight.device)
        scale_range(quant.fake.activation_post_process, self.scale_factor)
        quant.train()(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use unsigned affine codes and one range for the tensor."""
        return TorchAOQuant(act_settings(site))
