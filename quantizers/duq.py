r"""DuQ: one learned scale clips the weight, another puts it back.

    m = 2^(b-1) - 1,   w_q = c round(m hardtanh(w / a)) / m,   a = softplus(alpha),   c = softplus(gamma)
    straight through the rounding; hardtanh passes -1 <= w / a <= 1

a and c start at 0.9 max|w| of the channel or tensor (the paper: of the tensor). Inputs stay in float here.

Reference: Park and Yoo, "PROFIT: A Novel Training Method for sub-4-bit MobileNet Models", ECCV 2020 (DuQ);
the schedule PROFIT is a method of its own. Start and softplus as read in the public code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import LEARNING_RATE
from .fake_quant import FakeQuant, QParams, largest, scale_shape
from .sites import SiteQuantizer
from .spec import SiteSpec, integer_range

START = 0.9


def inverse_softplus(y: Tensor) -> Tensor:
    """Compute the x with log(1 + e^x) = y, y > 0."""
    return y + torch.log(-torch.expm1(-y))


class DuQQuant(FakeQuant):
    """This fake quantizer learns the clip and the output scale.

    Args:
        bits: 2 to 8.
        shape: of both: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        scale_factor: factor on the start of both, > 0.
    """

    def __init__(self, bits: int, shape: tuple[int, ...], scale_factor: float = 1.0) -> None:
        super().__init__()
        self.codes, self.scale_factor = integer_range(bits, narrow=True), scale_factor
        self.alpha = nn.Parameter(torch.zeros(shape))
        self.gamma = nn.Parameter(torch.zeros(shape))

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set both scales from the weight."""
        start = inverse_softplus(START * self.scale_factor * largest(x, self.alpha.dim() > 0))
        self.alpha.copy_(start)
        self.gamma.copy_(start)

    def _scale(self) -> Tensor:
        return F.softplus(self.gamma) / self.codes.qmax

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized weight; calibration starts the scales anew."""
        if self.calibrating:
            self.start_from(x)
        v = x / F.softplus(self.alpha)
        clipped = self.codes.qmax * torch.where(v.abs() <= 1, v, v.sign().detach())
        return (clipped + (clipped.round() - clipped).detach()) * self._scale()

    def own(self, x: Tensor) -> dict[str, float]:
        """Return ``scale_ratio``, c / a as a mean over channels, > 0; at 1 a learned clip alone would do the same."""
        return {"scale_ratio": float((F.softplus(self.gamma) / F.softplus(self.alpha)).mean().detach())}

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale c / m and zero point 0."""
        return QParams.symmetric(self._scale(), self.codes)


class DuQ(SiteQuantizer):
    """DuQ learns a clip and an output scale for each weight.

    After weight averaging the averaged scales stay (``averaged="average"``) or start anew (``"recalibrate"``).
    """

    name = "duq"
    is_base = True
    fixed_scale_reason = ""
    averages = ("average", "recalibrate")
    reference = "Park and Yoo, PROFIT, ECCV 2020 (DuQ)"
    meaning = "rounding between a learned clip and a learned scale"
    family = "learned"
    ranges = LEARNING_RATE

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make two scales for each output channel or for the tensor."""
        quant = DuQQuant(site.weight_bits, scale_shape(weight, site.per_channel), self.scale_factor).to(weight.device)
        quant.start_from(weight)
        return quant
