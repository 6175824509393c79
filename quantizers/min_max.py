r"""Min-max: the range of the values themselves.

    weights: low = min w, high = max w, anew at each step;   inputs: extremes over all calibration batches

The paper trains with the weights' true extremes and moving averages of the inputs'. Moving averages for both are
`torch_ao` and `nni_qat`; here the inputs' range stays as calibrated. Grid and gradient: `static_range`.

Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .static_range import Range, StaticQuant, StaticRangeQuantizer


class MinMaxQuant(StaticQuant):
    """The range of this fake quantizer runs from the smallest to the largest value."""

    def range_of(self, x: Tensor) -> Range:
        """Compute the extremes."""
        dims, keep = self.dims(x), self.per_channel
        return Range(x.amin(dims, keepdim=keep), x.amax(dims, keepdim=keep))

    def merge(self, seen: Range, new: Range, batches: int) -> Range:
        """Keep the extremes of all batches."""
        return Range(torch.minimum(seen.low, new.low), torch.maximum(seen.high, new.high))


class MinMax(StaticRangeQuantizer):
    """Min-max rounds weights within their own extremes."""

    name = "min_max"
    is_base = True
    kind = MinMaxQuant
    reference = "Jacob et al., Quantization and Training of Neural Networks, CVPR 2018"
    meaning = "rounding within the extremes of the weight"
    family = "uniform"
