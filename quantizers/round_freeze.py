r"""Round and freeze: the weights are rounded once, then neither they nor the scale train.

    w_q = s * round(clip(w / s, -2^(b-1), 2^(b-1) - 1)),   s = 2 E|w| / sqrt(2^(b-1) - 1) per output channel at prepare

This is post-training quantization followed by tuning of biases, BatchNorm and the float layers: what the released
code of QT-DoG does after its start step. The latent weight is kept, frozen, so that the rounding noise is on record.

Reference: Javed et al., "QT-DoG", ICML 2025 (released code); start of the scale: Esser et al., "Learned Step Size
Quantization", ICLR 2020, section 2.1.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .base import Plan
from .fake_quant import FakeQuant, QParams
from .freeze import freeze_weights
from .lsq import initial_weight_scale
from .sites import SiteQuantizer
from .spec import SiteSpec, integer_range


class FixedScaleQuant(FakeQuant):
    """This fake quantizer rounds with a scale that never changes; it hands on no gradient.

    Args:
        scale: shape ``(channels, 1, ...)`` or ``()``, positive.
        bits: 2 to 8, signed.
    """

    scale: Tensor

    def __init__(self, scale: Tensor, bits: int) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.codes = integer_range(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded tensor; the weights it is made for do not train."""
        with torch.no_grad():
            return (x / self.scale).round_().clamp_(*self.codes).mul_(self.scale)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the fixed scale and an all-zero zero point."""
        return QParams.symmetric(self.scale, self.codes)


class RoundFreeze(SiteQuantizer):
    """RoundFreeze rounds the weights at prepare and freezes them."""

    name = "round_freeze"
    fixed_scale_reason = ""
    reference = "control: released behaviour of Javed et al., QT-DoG, ICML 2025"
    role = "control"
    meaning = "rounding once and freezing"
    family = "control"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Fix the scale from the weight as it is now."""
        return FixedScaleQuant(self.scale_factor * initial_weight_scale(weight, site), site.weight_bits)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the rounding and freeze the weights."""
        plan = super().prepare(model, example)
        self.plan = replace(plan, frozen=freeze_weights(model, plan.sites))
        return self.plan
