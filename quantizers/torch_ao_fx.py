r"""What graph rewriting trains with, torch.ao's FX and torchao's PT2E, at the places where this package quantizes.

Both flows put the framework's fused module, FusedMovingAvgObsFakeQuantize, at each weight and activation, with the settings
of their x86 backend at 8 bits, kept here at other widths:

    weights: s = max(-min / 2^(b-1), max / (2^(b-1) - 1)), codes -2^(b-1) .. 2^(b-1) - 1: none is clipped at first
    inputs:  affine; FX has 0 .. 2^(b-1) - 1, half the codes (its ``reduce_range``, for CPUs without VNNI), PT2E 0 .. 2^b - 1
    both:    minimum and maximum move by 1 % of each batch, m <- m + 0.01 (batch - m)
    x_q = s (clip(round(x / s) + z, qmin, qmax) - z),   dx_q/dx = 1 inside the range, else 0

Ours: the graph. A rewritten graph has neither the model's class nor its own train(), so that held BatchNorm statistics would
come alive, and it has BatchNorm folded into the weight; here the modules sit in the model itself. On a net without
BatchNorm whose layers follow each other, training is bit for bit that of ``prepare_qat_fx`` and of ``prepare_qat_pt2e``,
but for what they quantize besides inputs of layers. PT2E's smallest scale, 2^-12, is kept when a file is loaded: the
library sets it back to 1e-7 where a state dict carries no versions.

Reference: torch.ao.quantization.quantize_fx, ``get_default_qat_qconfig_mapping("x86")``; torchao 0.18,
torchao.quantization.pt2e with ``X86InductorQuantizer``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.ao.quantization.fake_quantize import FusedMovingAvgObsFakeQuantize

from .fake_quant import FakeQuant
from .library import LibraryQuantizer
from .packages import TORCHAO
from .spec import SiteSpec
from .torch_ao import TorchAO, TorchAOQuant, act_settings, scale_range, weight_settings
from .torchao_intx import torchao


def _keep_eps(module: Any, state: dict[str, Any], prefix: str, *more: Any) -> None:
    """Keep an observer's smallest scale: loading a state dict without versions, as files have, would reset it."""
    state[f"{prefix}eps"] = module.eps


class FusedQuant(TorchAOQuant):
    """This wraps a fused module of either flow, whose settings survive a checkpoint."""

    def __init__(self, settings: dict[str, Any], module: Any) -> None:
        super().__init__(settings, module)
        self.fake.activation_post_process.register_load_state_dict_pre_hook(_keep_eps)


class TorchAOFX(TorchAO):
    """The module and settings of torch.ao's FX flow keep moving-average ranges of weights and inputs.

    After weight averaging the ranges are stale: ``averaged="recalibrate"`` observes them anew, ``"keep"`` does not.
    """

    name = "torch_ao_fx"
    reference = "torch.ao.quantization FX, default x86 settings"
    meaning = "rounding within moving-average ranges, as torch.ao's FX flow does on x86"
    double_backward = False

    def _module(self) -> Any:
        return FusedMovingAvgObsFakeQuantize

    def _settings(self, settings: dict[str, Any], weight: bool) -> dict[str, Any]:
        return settings if weight else settings | {"quant_max": settings["quant_max"] // 2}

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor; the range seen here is multiplied by scale_factor."""
        quant = FusedQuant(self._settings(weight_settings(site), weight=True), self._module()).to(weight.device)
        scale_range(quant.fake.activation_post_process, self.scale_factor)
        quant.train()(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use the flow's codes and one range for the tensor."""
        return FusedQuant(self._settings(act_settings(site), weight=False), self._module())


class TorchaoPT2E(TorchAOFX):
    """The module and settings of torchao's PT2E flow keep moving-average ranges of weights and inputs.

    After weight averaging the ranges are stale: ``averaged="recalibrate"`` observes them anew, ``"keep"`` does not.
    """

    name = "torchao_pt2e"
    reference = "torchao 0.18, PT2E with X86InductorQuantizer"
    meaning = "rounding within moving-average ranges, as torchao's PT2E flow does on x86"
    requires = TORCHAO
    fixed_scale_reason = LibraryQuantizer.fixed_scale_reason

    def _module(self) -> Any:
        return torchao("quantization.pt2e").FusedMovingAvgObsFakeQuantize

    def _settings(self, settings: dict[str, Any], weight: bool) -> dict[str, Any]:
        pt2e = torchao("quantization.pt2e")
        per_channel = "ch_axis" in settings
        return settings | {
            "observer": pt2e.MovingAveragePerChannelMinMaxObserver if per_channel else pt2e.MovingAverageMinMaxObserver,
            "dtype": torch.int8 if weight else torch.uint8,
            "eps": 2**-12,
        }
