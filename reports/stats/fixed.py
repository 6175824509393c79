"""The smaller claim: "on these domains", when the domains are too few to speak about others."""

from __future__ import annotations

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats


def on_these_domains(gains: Floats, weights: Floats | None = None) -> Floats:
    """Return two-sided p-values of the hypothesis that the mean over exactly these domains is 0.

    The only chance is the seeds': Student's t with the variance within domains, pooled, on
    ``domains * (seeds - 1)`` degrees of freedom. Says nothing about further domains.

    Args:
        gains: shape (..., domains, seeds), points.
        weights: shape (domains,), 1 on average: what each domain counts in the mean; None: all alike.

    Returns:
        Shape (...); NaN with one seed.

    Reference: fixed-effects analysis of variance; Scheffé, The Analysis of Variance (1959), chapter 3.
    """
    gains = np.asarray(gains, dtype=np.float64)
    n_domains, n_seeds = gains.shape[-2:]
    if n_seeds < 2:
        return np.full(gains.shape[:-2], np.nan)
    variance = gains.var(axis=-1, ddof=1).mean(axis=-1)
    weights = np.ones(n_domains) if weights is None else weights
    error = np.maximum(np.sqrt(variance * (weights**2).mean() / (n_domains * n_seeds)), 1e-12)
    mean = (weights * gains.mean(axis=-1)).mean(axis=-1)
    return np.asarray(2 * special.stdtr(n_domains * (n_seeds - 1), -np.abs(mean) / error))
