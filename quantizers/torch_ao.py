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

from .sites import FakeQuant, QParams, SiteQuantizer
from .spec import SiteSpec


class _ScaledRange:
    """Mixin of an observer: the range it reports is ``range_scale`` times the one it saw."""

    range_scale: float

    def calculate_qparams(self) -> Any:
        """Scale and zero point of the scaled range."""
        observer = cast(Any, self)
        return observer._calculate_qparams(observer.min_val * self.range_scale, observer.max_val * self.range_scale)


class ScaledPerTensor(_ScaledRange, MovingAverageMinMaxObserver):  # type: ignore[misc]
    """One scaled range; a named class, so that a model with it pickles."""


class ScaledPerChannel(_ScaledRange, MovingAveragePerChannelMinMaxObserver):  # type: ignore[misc]
    """A scaled range for each channel."""


def scale_range(observer: Any, factor: float) -> None:
    """Let an observer report ``factor`` times its range: the codes stay, values outside are clipped."""
    if factor != 1:
        per_channel = isinstance(observer, MovingAveragePerChannelMinMaxObserver)
        observer.__class__ = ScaledPerChannel if per_channel else ScaledPerTensor
        observer.range_scale = factor


def weight_settings(site: SiteSpec) -> dict[str, Any]:
    """Observer class, storage type, scheme and code range of a weight, as keyword arguments of torch.ao."""
    per_channel = site.granularity == "per_channel"
    schemes = {
        (True, True): torch.per_channel_symmetric,
        (True, False): torch.per_channel_affine,
        (False, True): torch.per_tensor_symmetric,
        (False, False): torch.per_tensor_affine,
    }
    settings: dict[str, Any] = {"ch_axis": 0} if per_channel else {}
    return settings | {
        "observer": MovingAveragePerChannelMinMaxObserver if per_channel else MovingAverageMinMaxObserver,
        "dtype": torch.qint8,
        "qscheme": schemes[per_channel, site.symmetric],
        "quant_min": -(2 ** (site.weight_bits - 1)),
        "quant_max": 2 ** (site.weight_bits - 1) - 1,
    }


def act_settings(site: SiteSpec) -> dict[str, Any]:
    """The same for a layer input: unsigned storage, affine, one range for the tensor."""
    assert site.act_bits is not None
    return {
        "observer": MovingAverageMinMaxObserver,
        "dtype": torch.quint8,
        "qscheme": torch.per_tensor_affine,
        "quant_min": 0,
        "quant_max": 2**site.act_bits - 1,
    }


def forget_range(observer: Any) -> None:
    """Let the next batch set an observer's range; its own reset would move the buffers to the CPU."""
    if observer.min_val.dim():
        observer.min_val.resize_(0)
        observer.max_val.resize_(0)
    else:
        observer.min_val.fill_(torch.inf)
        observer.max_val.fill_(-torch.inf)


def grid(fake: Any) -> QParams:
    """The grid of a torch.ao fake quantizer, learnable or not."""
    channels = fake.ch_axis if fake.qscheme in (torch.per_channel_symmetric, torch.per_channel_affine) else None
    shape = -1 if channels is not None else ()
    zero = fake.zero_point.detach().round().clamp(fake.quant_min, fake.quant_max)
    return QParams(fake.scale.detach().reshape(shape), zero.reshape(shape), fake.quant_min, fake.quant_max, channels)


class TorchAOQuant(FakeQuant):
    """A FakeQuantize module of torch.ao whose observer runs only where ranges may move.

    Args:
        settings: keyword arguments of FakeQuantize and its observer.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        backend: Any = FakeQuantize
        self.fake = backend(**settings)
        self.fake.disable_observer()

    def restart(self) -> None:
        """The next observed batch sets the range."""
        forget_range(self.fake.activation_post_process)

    def forward(self, x: Tensor) -> Tensor:
        """The fake-quantized tensor; observes x first in training and in calibration."""
        if not self.observing:
            return cast(Tensor, self.fake(x))
        self.fake.enable_observer()
        try:
            return cast(Tensor, self.fake(x))
        finally:
            self.fake.disable_observer()

    def qparams(self, x: Tensor | None = None) -> QParams:
        """The grid of the last observation."""
        return grid(self.fake)


class TorchAO(SiteQuantizer):
    """Moving-average ranges on weights and, where the spec asks for it, on layer inputs.

    After weight averaging the ranges are stale: ``averaged="recalibrate"`` observes them anew, ``"keep"`` does not.
    """

    name = "torch_ao"
    step_is_fixed = ""
    reference = "Jacob et al., CVPR 2018, in torch.ao.quantization"
    meaning = "rounding within moving-average ranges, as torch.ao implements it"
    affine = True
    averages = ("recalibrate", "keep")

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Signed codes, symmetric or affine, per channel or tensor; observed once, the range times step_scale."""
        quant = TorchAOQuant(weight_settings(site)).to(weight.device)
        scale_range(quant.fake.activation_post_process, self.step_scale)
        quant.train()(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Unsigned affine codes, one range for the tensor."""
        return TorchAOQuant(act_settings(site))
