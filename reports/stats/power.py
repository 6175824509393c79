"""How many domains it would take: power of the sign-flip test at the measured variances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats
from .signflip import Alternative, sign_flip, smallest_p

MOST_DOMAINS = 256
SIMULATED_DOMAINS = 10
_SIMULATIONS = 2000
_CERTAIN = 4.0


@dataclass(frozen=True)
class Spread:
    """Where gains vary, in points.

    Attributes:
        domains: standard deviation of the true gain between domains.
        seeds: standard deviation between seeds inside a domain; with one seed it cannot be told apart
            and is part of ``domains``.
    """

    domains: float
    seeds: float

    def of_mean(self, n_seeds: int) -> float:
        """Return the standard deviation of one domain's mean over ``n_seeds`` seeds."""
        return float(np.hypot(self.domains, self.seeds / np.sqrt(n_seeds)))


def spread(gains: Floats) -> Spread:
    """Estimate the spread of gains by the method of moments.

    Args:
        gains: shape (domains, seeds), points, at least two domains.

    Reference: Searle, Casella and McCulloch, Variance Components (1992), section 3.
    """
    n_seeds = gains.shape[1]
    between = float(gains.mean(axis=1).var(ddof=1))
    within = float(gains.var(axis=1, ddof=1).mean()) if n_seeds > 1 else 0.0
    return Spread(float(np.sqrt(max(between - within / n_seeds, 0.0))), float(np.sqrt(within)))


@lru_cache(maxsize=4096)
def power(ratio: float, n_domains: int, alpha: float, alternative: Alternative = "two-sided") -> float:
    """Return the chance that the sign-flip test finds an effect, for normal domain means.

    Args:
        ratio: true mean gain over the standard deviation of a domain's mean, >= 0.
        n_domains: how many. Up to 10 the test itself is simulated, because its p-values are coarse there; above,
            it has the power of the t-test, taken from the noncentral t distribution.
        alpha: level of the test.
        alternative: of the test.
    """
    if smallest_p(n_domains, alternative) > alpha:
        return 0.0
    if n_domains <= SIMULATED_DOMAINS:
        means = np.random.default_rng(n_domains).standard_normal((_SIMULATIONS, n_domains)) + ratio
        return float((sign_flip(means, alternative) <= alpha).mean())
    if ratio > _CERTAIN:
        return 1.0
    limit = special.stdtrit(n_domains - 1, 1 - (alpha / 2 if alternative == "two-sided" else alpha))
    shift = ratio * np.sqrt(n_domains)
    far = float(special.nctdtr(n_domains - 1, shift, -limit)) if alternative == "two-sided" else 0.0
    return 1 - float(special.nctdtr(n_domains - 1, shift, limit)) + far


def domains_needed(
    gain: float, deviation: float, alpha: float, alternative: Alternative = "two-sided", wanted: float = 0.8
) -> int | None:
    """Find the smallest number of domains with the wanted power.

    Args:
        gain: true mean gain, points.
        deviation: of one domain's mean, points (`Spread.of_mean`).
        alpha: level of the test.
        alternative: of the test.
        wanted: power, 0 to 1.

    Returns:
        None where even MOST_DOMAINS do not reach it.
    """
    ratio = round(min(abs(gain) / max(deviation, 1e-9), 20.0), 2)
    low, high = 1, MOST_DOMAINS
    if power(ratio, high, alpha, alternative) < wanted:
        return None
    if power(ratio, SIMULATED_DOMAINS + 1, alpha, alternative) < wanted:
        low = SIMULATED_DOMAINS + 1
    while low < high:
        middle = (low + high) // 2
        if power(ratio, middle, alpha, alternative) >= wanted:
            high = middle
        else:
            low = middle + 1
    return high
