r"""SAM: step with the gradient at the worst point nearby.

    e = rho * g / (||g|| + 1e-12),   g = grad L(w);   w <- optimizer(w, grad L(w + e))

The norm is over all perturbed parameters together. What the two passes share: `two_pass`.

Quantizer parameters (groups marked by `Algorithm.add_quantizer_group`) are not perturbed unless asked: a step of rho
along them would move the grid instead of the weights. They train with the second gradient like all others.
Costs two forward and backward passes a step.

Reference: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

from ...core.errors import ConfigError
from ...core.ranges import Choice, Ranges
from .base import Trained
from .two_pass import TINY, TwoPass, moved, norm_of, perturbable


class SAM(TwoPass):
    """It is sharpness-aware minimisation around the protocol's optimizer.

    Args:
        rho: radius, > 0; 0.05 is the paper's.
        perturb_quantizer: whether the quantizer's parameters are part of w in ``w + e``.
    """

    ranges: ClassVar[Ranges] = {"rho": Choice((0.01, 0.02, 0.05, 0.1))}

    def __init__(self, *, rho: float = 0.05, perturb_quantizer: bool = False) -> None:
        if not rho > 0:
            raise ConfigError(f"step_rule.rho must be above 0, got {rho}; the paper uses 0.05")
        self.rho = rho
        self.perturb_quantizer = perturb_quantizer

    def perturbed(self, algorithm: Trained) -> AbstractContextManager[None]:
        """Move the weights by e."""
        weights = perturbable(algorithm.optimizer, self.perturb_quantizer)
        grads = [w.grad for w in weights if w.grad is not None]
        factor = self.rho / (norm_of(grads) + TINY)
        return moved(weights, [g * factor for g in grads])
