r"""SAGM: SAM's step and the plain one together, around a point that descends a little first.

    e = (rho / (||g|| + 1e-12) - alpha) g,   g = grad L(w),   g' = grad L(w + e);   step with (g + g') / 2

alpha belongs to the perturbation, not to the mix; where rho / ||g|| < alpha the point lies downhill. The quantizer's
parameters are not perturbed and train with the mix. Costs two passes a step.

Reference: Wang et al., "Sharpness-Aware Gradient Matching for Domain Generalization", CVPR 2023; alpha 0.001 on PACS,
VLCS and TerraIncognita, 0.0005 on OfficeHome and DomainNet in its release (MIT).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from ...core.errors import ConfigError
from .base import Trained
from .two_pass import TINY, TwoPass, moved, norm_of, perturbable


class SAGM(TwoPass):
    """It is sharpness-aware gradient matching around the protocol's optimizer.

    Args:
        rho: radius, > 0; 0.05 in the release.
        alpha: length of the descent inside the perturbation, in gradients, >= 0; 0 averages SAM's and the plain gradient.
    """

    first = 0.5
    second = 0.5

    def __init__(self, *, rho: float = 0.05, alpha: float = 0.001) -> None:
        if not rho > 0 or not alpha >= 0:
            raise ConfigError(
                f"step_rule.rho must be above 0 and alpha at least 0, got {rho} and {alpha}; the release uses 0.05 and 0.001"
            )
        self.rho, self.alpha = rho, alpha

    def perturbed(self, algorithm: Trained) -> AbstractContextManager[None]:
        """Move the weights by e."""
        weights = perturbable(algorithm.optimizer)
        grads = [w.grad for w in weights if w.grad is not None]
        factor = self.rho / (norm_of(grads) + TINY) - self.alpha
        return moved(weights, [g * factor for g in grads])
