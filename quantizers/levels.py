r"""Code books scaled by the largest weight: the common part of `normal_float`, `power_of_two` and `k_means`.

    w_q = s l(w / s),   s = max|w| of the channel or tensor, anew at each forward
    dw_q/dw = 1,   dw_q/dl_k = s at the weights on level k, where the levels learn

Nothing lies outside the range, so nothing is masked. A method says which levels there are and where one ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .fake_quant import FakeQuant, QParams, largest, midpoints


class _OntoLevels(torch.autograd.Function):
    """Puts x / scale onto levels; straight-through to x, the sum over a level's weights to the level."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, levels: Tensor, edges: Tensor) -> Tensor:
        index = torch.bucketize(x / scale, edges)
        ctx.save_for_backward(index, scale, levels)
        return levels[index] * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        (grad,), (index, scale, levels) = grads, ctx.saved_tensors
        of_levels = None
        if ctx.needs_input_grad[2]:
            of_levels = torch.zeros_like(levels).index_add(0, index.flatten(), (grad * scale).flatten())
        return grad, None, of_levels, None


class LevelsQuant(FakeQuant):
    """This fake quantizer rounds onto levels from -1 to 1 in units of the largest weight.

    Args:
        levels: rising, at most 2^bits of them; a Parameter learns.
        per_channel: one scale for each index of dimension 0, else one for the tensor.
        scale_factor: factor on the scale, > 0; below 1 the outermost weights are clipped.
        edges: between the levels; None: in the middle.
    """

    levels: Tensor
    edges: Tensor | None

    def __init__(
        self, levels: Tensor, *, per_channel: bool, scale_factor: float = 1.0, edges: Tensor | None = None
    ) -> None:
        super().__init__()
        self.per_channel, self.scale_factor = per_channel, scale_factor
        if isinstance(levels, torch.nn.Parameter):
            self.levels = levels
        else:
            self.register_buffer("levels", levels)
        self.register_buffer("edges", edges)

    @torch.no_grad()
    def scale(self, x: Tensor) -> Tensor:
        """Compute the largest |x| times ``scale_factor``, shape (channels, 1, ...) or ()."""
        return self.scale_factor * largest(x, self.per_channel)

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight."""
        edges = midpoints(self.levels.detach()) if self.edges is None else self.edges
        out: Tensor = _OntoLevels.apply(x, self.scale(x), self.levels, edges)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the code book, its scale that of the weight ``x``."""
        assert x is not None, "the scale is a function of the weight"
        return QParams.of_levels(self.scale(x), self.levels.detach())
