r"""What AdaRound and BRECQ share: a variable for each weight that decides whether it is rounded up or down.

    w_q = s (clip(floor(w / s) + z + h(V), qmin, qmax) - z),   h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1),   start: w_q = w
    term: sum (1 - |2 h - 1|^beta), none in the first 20 % of the iterations, then beta falls from 20 to 2

Reference: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, equations 22 to 24.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .post_training import PostTraining, Rounded, Rows
from .spec import QuantSpec, check_positive

WARM_UP = 0.2
BETAS = 20.0, 2.0
DECIDED = 0.05
"""An h that is nearer than this to 0 or 1 counts as decided."""


class Choice:
    """Between the codes below and above each weight; V is the only thing that trains.

    Args:
        rows: the weights, of any shape.
    """

    def __init__(self, rows: Rows) -> None:
        units = rows.weight / rows.scale
        floor = torch.floor(units)
        self.rows = rows
        self.low = (floor + rows.zero_point).clamp(*rows.codes)
        self.high = (floor + rows.zero_point + 1).clamp(*rows.codes)
        self.v = nn.Parameter(-torch.log(1.2 / (units - floor + 0.1) - 1).float())

    def share(self) -> Tensor:
        """Compute h; its gradient is stopped outside 0 to 1 by a mask, not by clamp, whose bounds differ by version."""
        raw = 1.2 * torch.sigmoid(self.v) - 0.1
        return torch.where((raw >= 0) & (raw <= 1), raw, raw.detach().clamp(0, 1))

    def off(self, share: Tensor) -> Tensor:
        """Compute (w_q - w) / s."""
        start = self.low - self.rows.zero_point - self.rows.weight / self.rows.scale
        return start.float() + share * (self.high - self.low).float()

    def weight(self, share: Tensor) -> Tensor:
        """Compute w_q, in single precision."""
        low, high = (self.rows.value(codes).float() for codes in (self.low, self.high))
        return low + share * (high - low)

    def term(self, share: Tensor, progress: float) -> Tensor:
        """Compute the sum of 1 - |2 h - 1|^beta, 0 in the warm-up; ``progress`` runs from 0 to 1."""
        if progress < WARM_UP:
            return share.new_zeros(())
        first, last = BETAS
        beta = first + (last - first) * (progress - WARM_UP) / (1 - WARM_UP)
        return (1 - (2 * share - 1).abs().pow(beta)).sum()

    @torch.no_grad()
    def made(self) -> Rounded:
        """Return the codes on the nearer side, and the share of weights that had come to neither."""
        share = self.share()
        open_ = (share > DECIDED) & (share < 1 - DECIDED) & (self.low < self.high)
        return Rounded(torch.where(self.v >= 0, self.high, self.low), float(open_.float().mean()))


class LearnedRounding(PostTraining):
    """The common settings of methods that learn the rounding.

    Args:
        spec: what to quantize.
        iterations: of Adam, at least 1: for each layer, or each block of layers that the method takes together.
        lr: Adam's learning rate, above 0.
        strength: weight of the term that makes each rounding whole, above 0.
        options: the settings of `PostTraining`.
    """

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        iterations: int = 2000,
        lr: float = 0.01,
        strength: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        check_positive(iterations=iterations, lr=lr, strength=strength)
        self.iterations, self.lr, self.strength = iterations, lr, strength
