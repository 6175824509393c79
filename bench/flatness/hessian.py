r"""Curvature: trace and largest eigenvalue of the Hessian, from Hessian-vector products alone.

    tr H = E_z[z^T H z],  z of independent random signs (Hutchinson)
    v <- H v / |H v|,  lambda = v^T H v (power iteration)

Power iteration finds the eigenvalue of largest magnitude. Where that is negative, lambda_-, it runs again on
H - lambda_- I, whose largest eigenvalue is lambda_max - lambda_-; so the largest one is reported, not the largest in
magnitude.

Reference: Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1989; as used on networks by
Yao et al., "PyHessian", 2020, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .draws import signs, sphere
from .objective import Objective


@dataclass(frozen=True)
class Trace:
    """This is tr H with its standard error over probes, ddof 1 (NaN with one probe)."""

    mean: float
    se: float


@dataclass(frozen=True)
class Eigenvalue:
    """This is the largest eigenvalue found.

    Attributes:
        value: of H.
        residual: |H v - value v| / |value|, 0 for an exact pair; large where the iterations did not suffice.
        iterations: products with H used.
    """

    value: float
    residual: float
    iterations: int


def trace(objective: Objective, probes: int, seed: int) -> Trace:
    """Estimate the trace by Hutchinson's method from ``probes`` (>= 1) random sign vectors."""
    parts = []
    for z in signs(objective.point, probes, objective.chunk, seed):
        parts.append((z * objective.hessian_times(z)).double().sum(dim=1))
    found = torch.cat(parts)
    se = float(found.std()) / probes**0.5 if probes > 1 else float("nan")
    return Trace(float(found.mean()), se)


def top_eigenvalue(objective: Objective, iterations: int, tolerance: float, seed: int) -> Eigenvalue:
    """Find the largest eigenvalue of the Hessian.

    Args:
        objective: its Hessian is looked at.
        iterations: products with H at most, for each of the up to two runs, >= 1.
        tolerance: stop where an iteration changes the estimate by less than this share, > 0.
        seed: of the first vector.
    """
    start = next(sphere(objective.point, 1, 1, seed))[0]
    found = _power(objective, start, 0.0, iterations, tolerance=tolerance)
    if found.value >= 0:
        return found
    shifted = _power(objective, start, found.value, iterations, tolerance=tolerance)
    return Eigenvalue(shifted.value, shifted.residual, found.iterations + shifted.iterations)


def _power(objective: Objective, v: Tensor, shift: float, iterations: int, tolerance: float) -> Eigenvalue:
    """Power iteration on H - shift I; the eigenvalue is that of H."""
    value, residual, before = 0.0, 0.0, None
    for done in range(1, iterations + 1):
        product = objective.hessian_times(v[None])[0]
        value = float((v * product).double().sum())
        residual = float((product - value * v).double().norm()) / max(abs(value), 1e-30)
        step = product - shift * v
        size = step.double().norm()
        if float(size) == 0 or (before is not None and abs(value - before) <= tolerance * abs(value)):
            return Eigenvalue(value, residual if float(size) else 0.0, done)
        before, v = value, (step.double() / size).to(v.dtype)
    return Eigenvalue(value, residual, iterations)
