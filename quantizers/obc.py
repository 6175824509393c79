r"""OBC: each row rounds the weight that costs least first, and its other weights make up for the error.

    for each row:  j = argmin (w_j - Q(w_j))^2 / [H'^-1]_jj over the weights not yet rounded;
                   where one lies beyond the grid, (w_j - Q(w_j))^2 > s^2 / 4, the largest such error first
    w <- w - (w_j - Q(w_j)) / [H'^-1]_jj  H'^-1_j,   H'^-1 <- H'^-1 - H'^-1_j H'^-1_j^T / [H'^-1]_jj

This is the quantizer (OBQ) behind the post-training rows of QT-DoG's tables. Each row has an inverse of its own: of order
rows x columns^3 a layer, exact but slow. A 3 x 3 convolution of 64 channels takes a minute on a CPU, one of 512 needs a
GPU and minutes; `gptq` is the fast relative. Grid, damping and inputs: `layer_wise`.

Reference: Frantar and Alistarh, "Optimal Brain Compression", NeurIPS 2022, section 5 (algorithm 3; outliers first).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .layer_wise import LayerWise, damped, inverse
from .post_training import Rounded, Rows
from .spec import QuantSpec

ENTRIES = 2**26
"""Entries of inverses that are in memory at once."""
BEYOND = 1 + 1e-9
"""A weight halfway between two codes lies within the grid."""


def round_greedily(rows: Rows, inverse_hessian: Tensor) -> Tensor:
    """Choose the codes of rows (rows, columns) that share an inverse (columns, columns)."""
    count, size = rows.weight.shape
    weight, left = rows.weight.clone(), torch.ones_like(rows.weight, dtype=torch.bool)
    codes, own = torch.zeros_like(weight), inverse_hessian.repeat(count, 1, 1)
    each = torch.arange(count, device=weight.device)
    for _ in range(size):
        nearest = rows.nearest(weight)
        off = weight - rows.value(nearest)
        cost = (off.square() / own.diagonal(dim1=1, dim2=2)).masked_fill(~left, torch.inf)
        outside = off.abs().masked_fill(~left | (off.abs() <= BEYOND * rows.scale / 2), 0.0)
        j = torch.where(outside.amax(1) > 0, outside.argmax(1), cost.argmin(1))
        codes[each, j], row = nearest[each, j], own[each, j]
        pivot = row[each, j, None]
        weight -= off[each, j, None] / pivot * row
        own -= row[:, :, None] * (row / pivot)[:, None, :]
        left[each, j] = False
    return codes


class OBC(LayerWise):
    """OBC rounds each row's cheapest weight first and lets the others make up for the error.

    Args:
        spec: what to quantize.
        damping: added to the diagonal of H, as a share of its mean, at least 0.
        options: the settings of `PostTraining`.
    """

    name = "obc"
    reference = "Frantar and Alistarh, Optimal Brain Compression, NeurIPS 2022"
    meaning = "rounding the finished float network weight by weight, each error made up for by the weights left"

    def __init__(self, spec: QuantSpec | None = None, *, damping: float = 0.01, **options: Any) -> None:
        super().__init__(spec, **options)
        if damping < 0:
            raise ConfigError(f"damping must be at least 0, got {damping}; write for example damping=0.01")
        self.damping = damping

    def round_rows(self, rows: Rows, hessian: Tensor) -> Rounded:
        """Choose the codes of each group, as many rows at once as memory allows."""
        inverses = inverse(damped(hessian, self.damping))
        at_once = max(1, ENTRIES // inverses[0].numel())
        codes = torch.empty_like(rows.weight)
        for group, inverted in enumerate(inverses):
            for start in range(0, rows.weight.shape[1], at_once):
                part = group, slice(start, start + at_once)
                codes[part] = round_greedily(rows.at(part), inverted)
        return Rounded(codes)
