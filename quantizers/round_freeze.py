r"""Round and freeze: the weights are rounded once, then neither they nor the step train.

    w_q = s * round(clip(w / s, -2^(b-1), 2^(b-1) - 1)),   s = 2 E|w| / sqrt(2^(b-1) - 1) per output channel at prepare

This is post-training quantization followed by tuning of biases, BatchNorm and the float layers: what the released
code of QT-DoG does after its start step. The latent weight is kept, frozen, so that the rounding noise is on record.

Reference: Javed et al., "QT-DoG", ICML 2025 (released code); start of the step: Esser et al., "Learned Step Size
Quantization", ICLR 2020, section 2.1.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .base import Plan
from .freeze import freeze_weights
from .lsq import first_step
from .sites import FakeQuant, QParams, SiteQuantizer
from .spec import SiteSpec


def lsq_step(weight: Tensor, site: SiteSpec) -> Tensor:
    """The step LSQ starts from on this site: shape (channels, 1, ...), or () per tensor."""
    return first_step(weight, site.granularity == "per_channel", 2 ** (site.weight_bits - 1) - 1)


class FixedStepQuant(FakeQuant):
    """Rounding with a step that never changes; it hands on no gradient.

    Args:
        step: shape ``(channels, 1, ...)`` or ``()``, positive.
        bits: 2 to 8, signed.
    """

    step: Tensor

    def __init__(self, step: Tensor, bits: int) -> None:
        super().__init__()
        self.register_buffer("step", step)
        self.qmin, self.qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        """The rounded tensor; the weights it is made for do not train."""
        with torch.no_grad():
            return (x / self.step).round_().clamp_(self.qmin, self.qmax).mul_(self.step)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """The fixed step and an all-zero zero point."""
        step = self.step.reshape(-1 if self.step.dim() else ())
        return QParams(step, torch.zeros_like(step), self.qmin, self.qmax, 0 if self.step.dim() else None)


class RoundFreeze(SiteQuantizer):
    """Weights rounded at prepare and frozen."""

    name = "round_freeze"
    step_is_fixed = ""
    reference = "control: released behaviour of Javed et al., QT-DoG, ICML 2025"
    role = "control"
    meaning = "rounding once and freezing"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """A fixed step from the weight as it is now."""
        return FixedStepQuant(self.step_scale * lsq_step(weight, site), site.weight_bits)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the rounding and freeze the weights."""
        plan = super().prepare(model, example)
        self.plan = replace(plan, frozen=freeze_weights(model, plan.sites))
        return self.plan
