r"""Gradient l1: a small l1 norm of the gradient, for weights that bear rounding to any width.

    L + lam ||grad L||_1 is descended by (1 - lam / r) g + (lam / r) g',   g' = grad L(w + r sign(g))

since grad ||g||_1 = H sign(g) = (g' - g) / r + O(r): exact for quadratics, two passes a step and no double backward.
``form=double_backward`` differentiates ||g||_1 itself, as the paper does: one pass, about two to three times the time and
twice the memory, and a quantizer that can be differentiated twice. Behind a fake quantizer that is the second derivative
of its straight-through surrogate, while g' goes through the rounding.

r ||g||_1 is, to first order, the most that a perturbation of at most r in each weight can add to the loss, and rounding is
such a perturbation. ``bits`` sets r by layer to half the scale of that width, max|w| / (2^bits - 1); lam is weight * r,
so that weight 1 is SAM with a box for a ball.

Only tensors of two and more dimensions are penalised, as only these are quantized. The paper also penalises gradients of
layer inputs; that is not built.

Reference: Alizadeh et al., "Gradient l1 Regularization for Quantization Robustness", ICLR 2020; its abstract says what is
penalised, its lam and schedule could not be read. The form without double backward and r by width are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...quantizers.spec import check_choice
from .base import Gradients, Terms, Trained
from .two_pass import TwoPass, moved, perturbable, weights_of

Form = Literal["finite_difference", "double_backward"]


class GradientL1(TwoPass):
    """It is the l1 penalty on the gradient around the protocol's optimizer.

    Args:
        radius: r, > 0, where ``bits`` is not given.
        bits: width whose half scale is r, layer by layer, 2 to 8; null: ``radius``.
        weight: lam / r, from 0 (the plain step) to 1, the share of the second gradient; 1 is lam = r.
        form: of the penalty's gradient, ``finite_difference`` or ``double_backward``; they differ by O(r).
    """

    def __init__(
        self, *, radius: float = 1e-3, bits: int | None = None, weight: float = 1.0, form: Form = "finite_difference"
    ) -> None:
        if not radius > 0 or not 0 <= weight <= 1:
            raise ConfigError(
                f"step_rule.radius must be above 0 and weight from 0 to 1, got {radius} and {weight}; write 0.001 and 1"
            )
        if bits is not None and not 2 <= bits <= 8:
            raise ConfigError(f"step_rule.bits must be null or from 2 to 8, got {bits}; write the width to deploy")
        check_choice("step_rule.form", form, Form)
        self.radius, self.bits = radius, bits
        self.first, self.second = 1 - weight, weight
        self.double_backward = form == "double_backward"

    def _radius(self, weight: nn.Parameter) -> Tensor | float:
        return self.radius if self.bits is None else weight.detach().abs().max() / (2**self.bits - 1)

    def perturbed(self, algorithm: Trained) -> AbstractContextManager[None]:
        """Move every weight by r along the sign of its gradient."""
        weights = [w for w in perturbable(algorithm.optimizer) if w.dim() > 1]
        return moved(weights, [self._radius(w) * torch.sign(w.grad) for w in weights if w.grad is not None])

    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make two passes, or one with the penalty in its loss, then the optimizer's step."""
        if not self.double_backward:
            return super().step(algorithm, gradients)
        own = {id(w) for w in weights_of(algorithm.optimizer) if w.dim() > 1}
        terms = gradients(lambda loss, moving: self._penalty(loss, [w for w in moving if id(w) in own]))
        algorithm.optimizer.step()
        return terms

    def _penalty(self, loss: Tensor, weights: Sequence[nn.Parameter]) -> Tensor:
        if not weights:
            return loss.new_zeros(())
        found = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        pairs = [(self._radius(w), g) for w, g in zip(weights, found, strict=True) if g is not None]
        if not any(g.requires_grad for _, g in pairs):
            raise ConfigError(
                "step_rule.form=double_backward needs a loss whose gradient depends on the weights, but that of this "
                "algorithm is given as numbers (MLDG's is); write step_rule.form=finite_difference"
            )
        return self.second * torch.stack([r * g.abs().sum() for r, g in pairs]).sum()
