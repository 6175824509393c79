"""A second opinion on the interval: resample domains, and seeds inside each."""

from __future__ import annotations

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats

FEWEST_DOMAINS = 8
"""Below it the percentile interval is too narrow (`docs/statistics.md` has the measured rates)."""


def two_level_interval(gains: Floats, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return the percentile interval of the mean gain, expanded for few domains.

    Args:
        gains: shape (domains, seeds), points.
        level: coverage, 0 to 1.
        draws: resamples.
        seed: of the generator; the same input gives the same interval.

    Returns:
        (low, high); NaN below FEWEST_DOMAINS domains.

    Reference: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8;
    expansion: Hesterberg, What Teachers Should Know About the Bootstrap (2015), section 5.3.
    """
    n_domains, n_seeds = gains.shape
    if n_domains < FEWEST_DOMAINS:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    domains = generator.integers(n_domains, size=(draws, n_domains, 1))
    seeds = generator.integers(n_seeds, size=(draws, n_domains, n_seeds))
    means = gains[domains, seeds].mean(axis=(1, 2))
    spread = np.sqrt(n_domains / (n_domains - 1)) * special.stdtrit(n_domains - 1, 0.5 + level / 2)
    tail = special.ndtr(-spread)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
