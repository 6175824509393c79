"""The sign-flip test on domain means: exact for few domains, and it needs no normal distribution."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from .effect import Floats

Alternative = Literal["two-sided", "greater"]
EXACT_DOMAINS = 14
RANDOM_FLIPS = 20_000
_DISTINCT_DOMAINS = 40
"""Above so many, 20,000 random flips hold neither the identity nor its opposite a second time."""


@lru_cache(maxsize=8)
def signs(n: int) -> Floats:
    """Return all 2**n sign vectors, shape (flips, n); above EXACT_DOMAINS a fixed random sample with the identity."""
    if n <= EXACT_DOMAINS:
        codes = np.arange(2**n)[:, None] >> np.arange(n)
        return np.where(codes & 1, -1.0, 1.0)
    drawn = np.random.default_rng(n).choice([-1.0, 1.0], size=(RANDOM_FLIPS - 1, n))
    return np.concatenate([np.ones((1, n)), drawn])


def sign_flip(means: Floats, alternative: Alternative = "two-sided") -> Floats:
    """Return p-values of the hypothesis that domain means are symmetric about 0.

    Args:
        means: shape (..., domains), paired differences averaged over seeds.
        alternative: ``two-sided``, or ``greater`` for claims that have a direction.

    Returns:
        Shape (...); multiples of ``2**-domains``, never 0.

    Reference: Fisher, The Design of Experiments (1935), section 21; Monte Carlo version above 14 domains:
    Phipson and Smyth (2010), arXiv 1603.05766.
    """
    means = np.asarray(means, dtype=np.float64)
    flips = signs(means.shape[-1])
    observed = means.sum(axis=-1, keepdims=True)
    tolerance = 1e-9 * np.abs(means).sum(axis=-1, keepdims=True)
    flipped = means @ flips.T
    if alternative == "two-sided":
        flipped, observed = np.abs(flipped), np.abs(observed)
    return np.asarray((flipped >= observed - tolerance).mean(axis=-1))


@lru_cache(maxsize=256)
def smallest_p(n_domains: int, alternative: Alternative = "two-sided") -> float:
    """Return the smallest p-value that any data could give; above alpha the question is not decidable."""
    if n_domains < 1:
        return 1.0
    if n_domains > _DISTINCT_DOMAINS:
        return 1 / RANDOM_FLIPS
    return float(sign_flip(np.ones(n_domains), alternative))
