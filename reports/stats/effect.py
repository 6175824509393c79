"""The effect before any p-value: mean, interval, worst domain, share of cells above zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped,unused-ignore]

Floats = NDArray[np.float64]


def t_interval(means: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """Return mean and two-sided Student interval over domain means.

    Args:
        means: shape (domains,), at least one.
        level: coverage, 0 to 1.

    Returns:
        (mean, low, high) in the unit of ``means``; low and high are NaN with one domain.
    """
    n = len(means)
    mean = float(np.mean(means))
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(special.stdtrit(n - 1, 0.5 + level / 2) * np.std(means, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A paired difference in points.

    Attributes:
        mean: of the domain means.
        low: lower end of its Student interval; NaN with one domain.
        high: upper end of that interval.
        worst: the smallest domain mean.
        worst_domain: the domain that has it.
        share_positive: share of (domain, seed) cells above zero, a tie counting half; 0 to 1.
        n_domains: how many units.
        n_seeds: how many replicates in each.
    """

    mean: float
    low: float
    high: float
    worst: float
    worst_domain: str
    share_positive: float
    n_domains: int
    n_seeds: int


def effect(gains: Floats, domains: list[str], level: float = 0.95) -> Effect:
    """Summarise a complete table of gains.

    Args:
        gains: shape (domains, seeds), points.
        domains: their names.
        level: of the interval.

    Reference: project note `docs/statistics.md`, section "What is printed".
    """
    means = gains.mean(axis=1)
    worst = int(np.argmin(means))
    share = float(np.mean((gains > 0) + 0.5 * (gains == 0)))
    mean, low, high = t_interval(means, level)
    return Effect(
        mean=mean,
        low=low,
        high=high,
        worst=float(means[worst]),
        worst_domain=domains[worst],
        share_positive=share,
        n_domains=gains.shape[0],
        n_seeds=gains.shape[1],
    )
