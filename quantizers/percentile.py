r"""Percentile: a range that leaves out the rarest values.

    symmetric: high = -low = the value of rank ceil(q n) of |x|
    affine:    low, high = the values of rank ceil((1 - q) n) and ceil(q n) of x,   n values, ranks from 1

q is 0.999 unless set. Inputs: the mean of the batches' ranges. Weights: anew at each step. Grid and gradient:
`static_range`. A clip by percentiles comes with calibration tools and has no single paper; the rank is ours (no
interpolation: numpy's ``inverted_cdf``).

Reference: Wu et al., "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation", arXiv
2004.09602 (calibration by percentile).
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ..core.errors import ConfigError
from .spec import QuantSpec
from .static_range import Range, StaticQuant, StaticRangeQuantizer


class PercentileQuant(StaticQuant):
    """The range of this fake quantizer leaves out a share of the values.

    Args:
        share: q, above 0.5 to 1.
        settings: arguments of `StaticQuant`.
    """

    def __init__(self, *settings: Any, share: float, **options: Any) -> None:
        super().__init__(*settings, **options)
        self.share = share

    def _ranked(self, x: Tensor, share: float) -> Tensor:
        flat = x.flatten(1) if self.per_channel else x.flatten()
        rank = min(max(math.ceil(round(share * flat.shape[-1], 6)), 1), flat.shape[-1])
        return flat.kthvalue(rank, dim=-1).values.reshape(self.low.shape)

    def range_of(self, x: Tensor) -> Range:
        """Compute the values of the ranks."""
        if self.symmetric:
            high = self._ranked(x.abs(), self.share)
            return Range(-high, high)
        return Range(self._ranked(x, 1 - self.share), self._ranked(x, self.share))


class Percentile(StaticRangeQuantizer):
    """Percentile rounds weights within a range that clips the rarest of them.

    Args:
        spec: as for `StaticRangeQuantizer`.
        share: q, the share of the values inside the range, above 0.5 to 1; 1 is `min_max` for symmetric grids.
        options: the other settings of `StaticRangeQuantizer`.
    """

    name = "percentile"
    is_base = True
    kind = PercentileQuant
    reference = "Wu et al., Integer Quantization for Deep Learning Inference, arXiv 2004.09602"
    meaning = "rounding within a range that clips the rarest weights"
    family = "uniform"

    def __init__(self, spec: QuantSpec | None = None, *, share: float = 0.999, **options: Any) -> None:
        super().__init__(spec, **options)
        if not 0.5 < share <= 1:
            raise ConfigError(f"share must lie above 0.5 and be at most 1, got {share}; write for example share=0.999")
        self.share = share

    def settings(self) -> dict[str, Any]:
        """Return ``share``."""
        return {"share": self.share}
