r"""Gradient l1: a small l1 norm of the gradient, for weights that bear rounding to any width.

    L + lam ||grad L||_1 is descended by (1 - lam / r) g + (lam / r) g',   g' = grad L(w + r sign(g))

since grad ||g||_1 = H sign(g) = (g' - g) / r + O(r): exact for quadratics, and no double backward is needed. r ||g||_1
is, to first order, the most that a perturbation of at most r in each weight can add to the loss, and rounding is such a
perturbation. ``bits`` sets r by layer to half the scale of that width, max|w| / (2^bits - 1); lam is r where it is left
out, which is SAM with a box for a ball.

Only tensors of two and more dimensions are perturbed, as only these are quantized. Costs two passes a step. The paper
also penalises gradients of layer inputs; that is not built.

Reference: Alizadeh et al., "Gradient l1 Regularization for Quantization Robustness", ICLR 2020; the form without double
backward is ours.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from .base import Trained
from .two_pass import TwoPass, moved, perturbable


class GradientL1(TwoPass):
    """It is the l1 penalty on the gradient around the protocol's optimizer.

    Args:
        radius: r, > 0, where ``bits`` is not given.
        bits: width whose half scale is r, layer by layer, 2 to 8; null: ``radius``.
        weight: lam / r, from 0 to 1, the share of the second gradient; 1 is lam = r.
    """

    def __init__(self, *, radius: float = 1e-3, bits: int | None = None, weight: float = 1.0) -> None:
        if not radius > 0 or not 0 < weight <= 1:
            raise ConfigError(
                f"step_rule.radius must be above 0 and weight above 0 to 1, got {radius} and {weight}; write 0.001 and 1"
            )
        if bits is not None and not 2 <= bits <= 8:
            raise ConfigError(f"step_rule.bits must be null or from 2 to 8, got {bits}; write the width to deploy")
        self.radius, self.bits = radius, bits
        self.first, self.second = 1 - weight, weight

    def _radius(self, weight: nn.Parameter) -> Tensor | float:
        return self.radius if self.bits is None else weight.detach().abs().max() / (2**self.bits - 1)

    def perturbed(self, algorithm: Trained) -> AbstractContextManager[None]:
        """Move every weight by r along the sign of its gradient."""
        weights = [w for w in perturbable(algorithm.optimizer) if w.dim() > 1]
        return moved(weights, [self._radius(w) * torch.sign(w.grad) for w in weights if w.grad is not None])
