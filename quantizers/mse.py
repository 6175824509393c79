r"""MSE: the range that rounds with the smallest error.

    (low, high) = f (min x, max x),   f = argmin over 1, .99, ..., .21 of mean |x - x_q(f)|^p,   p = 2 or 2.4

Each channel has its own f. The weights' ranges are set at insertion and stay (``refresh`` sets them anew), as the
search costs 80 roundings; inputs: the mean of the batches' ranges. p = 2 is least squares; 2.4 weighs clipped values
more and is what BRECQ and GPTQ search with. Grid and gradient: `static_range`.

Reference: Choukroun et al., "Low-bit Quantization of Neural Networks for Efficient Inference", arXiv 1902.06822 (least
squares); p = 2.4 and a search in steps of 1 % as in the public code of Li et al., "BRECQ", ICLR 2021.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .spec import QuantSpec
from .static_range import Range, StaticQuant, StaticRangeQuantizer, grid_of

FACTORS = tuple(1 - step / 100 for step in range(80))


class MSEQuant(StaticQuant):
    """The range of this fake quantizer has the smallest rounding error among 80.

    Args:
        power: p, above 0.
        settings: arguments of `StaticQuant`.
    """

    def __init__(self, *settings: Any, power: float, **options: Any) -> None:
        super().__init__(*settings, **options)
        self.power = power

    def range_of(self, x: Tensor) -> Range:
        """Search the factor on the extremes."""
        dims, keep = self.dims(x), self.per_channel
        widest = Range(x.amin(dims, keepdim=keep), x.amax(dims, keepdim=keep))
        best, chosen = torch.full_like(widest.low, torch.inf), torch.ones_like(widest.low)
        for factor in FACTORS:
            grid = grid_of(Range(factor * widest.low, factor * widest.high), self.codes, symmetric=self.symmetric)
            error = (grid.round(x) - x).abs_().pow_(self.power).mean(dims, keepdim=keep)
            chosen = torch.where(error < best, factor, chosen)
            best = torch.minimum(error, best)
        return Range(chosen * widest.low, chosen * widest.high)


class MSE(StaticRangeQuantizer):
    """MSE rounds weights within the range of the smallest rounding error.

    Args:
        spec: as for `StaticRangeQuantizer`.
        power: p of the error |w - w_q|^p, above 0; 2 is least squares.
        options: the other settings of `StaticRangeQuantizer`; ``refresh`` is 0 unless set.
    """

    name = "mse"
    is_base = True
    kind = MSEQuant
    reference = "Choukroun et al., Low-bit Quantization, arXiv 1902.06822"
    meaning = "rounding within the range of the smallest rounding error"
    family = "uniform"
    usual_refresh = 0

    def __init__(self, spec: QuantSpec | None = None, *, power: float = 2.0, **options: Any) -> None:
        super().__init__(spec, **options)
        if not power > 0:
            raise ConfigError(f"power must be above 0, got {power}; write power=2 for least squares or power=2.4")
        self.power = power

    def settings(self) -> dict[str, Any]:
        """Return ``power``."""
        return {"power": self.power}
