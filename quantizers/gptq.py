r"""GPTQ: column after column is rounded, and the columns after it make up for the error.

    H' = H + damping mean(diag H) I,   U^T U = H'^-1,  U upper triangular
    for column i:   q = Q(w_i),   e = (w_i - q) / U_ii,   w_j <- w_j - e U_ij  for j > i

All rows go together. The sum of e^2 is d^T H' d. ``order: activation`` takes the columns with the largest inputs first,
an option of the released code. Grid and inputs: `layer_wise`. The updates of a block of columns reach the later columns
at once, which changes no value. Cost: of order rows x columns^2 a layer, and one forward of all batches a layer.

Reference: Frantar et al., "GPTQ", ICLR 2023; columns that are always 0: see `layer_wise.damped`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .layer_wise import LayerWise, damped, inverse
from .post_training import Rounded, Rows
from .spec import QuantSpec, check_choice

Order = Literal["columns", "activation"]
BLOCK = 128


def round_columns(rows: Rows, hessian: Tensor, block: int = BLOCK) -> Tensor:
    """Choose the codes of the rows, column after column, given a positive definite H (groups, columns, columns)."""
    upper = torch.linalg.cholesky(inverse(hessian)).mT
    weight, codes = rows.weight.clone(), torch.empty_like(rows.weight)
    for start in range(0, weight.shape[2], block):
        end = min(start + block, weight.shape[2])
        errors = torch.empty_like(weight[:, :, start:end])
        for i in range(start, end):
            column = rows.at((slice(None), slice(None), i))
            codes[:, :, i] = column.nearest(weight[:, :, i])
            off = weight[:, :, i] - column.value(codes[:, :, i])
            error = off / upper[:, i, i, None]
            errors[:, :, i - start] = error
            weight[:, :, i:end] -= error[:, :, None] * upper[:, None, i, i:end]
        weight[:, :, end:] -= errors @ upper[:, start:end, end:]
    return codes


class GPTQ(LayerWise):
    """GPTQ rounds column after column and lets the later ones make up for the error.

    Args:
        spec: what to quantize.
        damping: added to the diagonal of H, as a share of its mean, at least 0.
        order: of the columns, ``columns``: as they are, or ``activation``: largest diagonal of H first.
        options: the settings of `PostTraining`.
    """

    name = "gptq"
    reference = "Frantar et al., GPTQ, ICLR 2023"
    meaning = "rounding the finished float network column by column, each error made up for by the next columns"

    def __init__(
        self, spec: QuantSpec | None = None, *, damping: float = 0.01, order: Order = "columns", **options: Any
    ) -> None:
        super().__init__(spec, **options)
        if damping < 0:
            raise ConfigError(f"damping must be at least 0, got {damping}; write for example damping=0.01")
        check_choice("order", order, Order)
        self.damping = damping
        self.order: Order = order

    def round_rows(self, rows: Rows, hessian: Tensor) -> Rounded:
        """Choose the codes in the given order of columns."""
        h = damped(hessian, self.damping)
        if self.order == "columns":
            return Rounded(round_columns(rows, h))
        first = torch.argsort(hessian.diagonal(dim1=1, dim2=2), descending=True, stable=True)
        group = torch.arange(len(h), device=h.device)[:, None]
        row = torch.arange(rows.weight.shape[1], device=h.device)[:, None]
        index = group[:, :, None], row, first[:, None, :]
        codes = torch.empty_like(rows.weight)
        codes[index] = round_columns(rows.at(index), h[group[:, :, None], first[:, :, None], first[:, None, :]])
        return Rounded(codes)
