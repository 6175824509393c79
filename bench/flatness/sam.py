r"""SAM sharpness: the rise of the loss along one step uphill, a lower estimate of its maximum in a ball.

    S(rho) = L(w + rho g / |g|) - L(w),   g = dL/dw,   max over |e| <= rho of L(w + e) - L(w) to first order

Reference: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from .objective import Objective


def sam_sharpness(objective: Objective, rhos: Sequence[float]) -> tuple[float, ...]:
    """Compute S(rho) of each radius (Euclidean length in parameter space, > 0); 0 where the gradient is 0."""
    gradient = objective.gradient()
    norm = gradient.double().norm()
    if float(norm) == 0:
        return tuple(0.0 for _ in rhos)
    uphill = (gradient.double() / norm).to(gradient.dtype)
    loss = objective.value()
    return tuple(float(objective.values((objective.point + rho * uphill)[None])) - loss for rho in rhos)
