r"""The mean over data sets of the mean over domains, with the data sets' own effects in the model.

Domain d of data set k has the mean gain x_kd = mu_k + b_kd, where mu_k belongs to the data set and b_kd varies between its
domains with a variance of its own; m_k and s_k^2 are mean and variance of the n_k values, K the number of data sets:

    T = (1/K) \sum_k m_k,   se^2 = (1/K^2) \sum_k s_k^2 / n_k,
    df = (\sum_k s_k^2 / n_k)^2 / \sum_k (s_k^2 / n_k)^2 / (n_k - 1)

T / se is compared with Student's t. A sign-flip test cannot take mu_k out: domain means are not symmetric about 0 where the
mu_k differ and only their mean is 0, so it rejects too rarely and finds too little (`docs/statistics.md` has the rates).

References: Welch, The generalization of Student's problem when several different population variances are involved
(Biometrika 1947); Satterthwaite, An approximate distribution of estimates of variance components (Biometrics 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats
from .power import MOST_DOMAINS
from .signflip import Alternative

_TINY = 1e-12


@dataclass(frozen=True)
class StratifiedMean:
    """The estimate T with its standard error and degrees of freedom, each of shape (...)."""

    mean: Floats
    error: Floats
    freedom: Floats

    def p(self, alternative: Alternative) -> Floats:
        """Return p-values of the hypothesis that the mean is 0."""
        ratio = self.mean / self.error
        if alternative == "greater":
            return np.asarray(special.stdtr(self.freedom, -ratio))
        return np.asarray(2 * special.stdtr(self.freedom, -np.abs(ratio)))

    def p_equivalent(self, margin: float) -> Floats:
        """Return p-values of the hypothesis that the mean lies outside ``(-margin, margin)``, two one-sided tests."""
        return np.asarray(special.stdtr(self.freedom, -(margin - np.abs(self.mean)) / self.error))

    def half_width(self, level: float) -> Floats:
        """Return half the width of the two-sided interval at a level from 0 to 1."""
        return np.asarray(special.stdtrit(self.freedom, 0.5 + level / 2) * self.error)


def _each(means: Floats, strata: tuple[str, ...]) -> tuple[Floats, Floats, Floats]:
    """Mean, variance and number of values of each stratum, the last axis of shape (strata,); variances ddof 1."""
    member = np.array([[name == stratum for name in strata] for stratum in dict.fromkeys(strata)], dtype=np.float64)
    n = member.sum(axis=1)
    centre = means @ member.T / n
    squares = ((means - centre @ member) ** 2) @ member.T
    return centre, squares / np.maximum(n - 1, 1), n


def stratified_mean(means: Floats, strata: tuple[str, ...]) -> StratifiedMean:
    """Estimate the mean over strata.

    Args:
        means: shape (..., units), points.
        strata: of each unit; each must have at least two, or its variance is not known.
    """
    centre, variance, n = _each(np.asarray(means, dtype=np.float64), strata)
    parts = variance / n / len(n) ** 2
    total = parts.sum(axis=-1)
    spread = (parts**2 / np.maximum(n - 1, 1)).sum(axis=-1)
    freedom = np.where(spread > _TINY**4, total**2 / np.maximum(spread, _TINY**4), float(n.min()) - 1)
    error = np.maximum(np.sqrt(total), _TINY)
    return StratifiedMean(np.asarray(centre.mean(axis=-1)), np.asarray(error), np.asarray(np.maximum(freedom, 1)))


@dataclass(frozen=True)
class Components:
    """Where gains vary, as standard deviations in points; estimates below 0 are 0.

    Attributes:
        strata: of the true gain between data sets.
        domains: of the true gain between domains of one data set.
        seeds: between seeds in one domain; with one seed part of ``domains``.
    """

    strata: float
    domains: float
    seeds: float


def components(gains: Floats, strata: tuple[str, ...]) -> Components:
    """Estimate the components by the method of moments.

    Args:
        gains: shape (units, seeds), points.
        strata: of each unit, at least two of them, and one with at least two units.

    Reference: Searle, Casella and McCulloch, Variance Components (1992), section 3 and 5 (nested, unequal numbers).
    """
    n_seeds = gains.shape[1]
    within = float(gains.var(axis=1, ddof=1).mean()) if n_seeds > 1 else 0.0
    centre, variance, n = _each(gains.mean(axis=1), strata)
    unit = float((variance * (n - 1)).sum() / (n - 1).sum())
    between = float(centre.var(ddof=1)) - unit * float((1 / n).mean())
    return Components(*(float(np.sqrt(max(v, 0.0))) for v in (between, unit - within / n_seeds, within)))


def _power(mean: float, variances: Floats, each: Floats, alpha: float, alternative: Alternative) -> Floats:
    """The power with so many units of each stratum, of the shape of ``each``."""
    error = np.sqrt(variances.sum() / each) / len(variances)
    freedom = (each - 1) * float(variances.sum() ** 2 / (variances**2).sum())
    shift = np.minimum(mean / error, 30.0)
    limit = special.stdtrit(freedom, 1 - (alpha / 2 if alternative == "two-sided" else alpha))
    return np.asarray(1 - special.nctdtr(freedom, shift, limit))


def units_needed(
    means: Floats, strata: tuple[str, ...], alpha: float, alternative: Alternative, wanted: float = 0.8
) -> int | None:
    """Find how many units, the same number of each stratum, have the wanted power at the measured mean and variances.

    Args:
        means: shape (units,), points.
        strata: of each unit.
        alpha: level of the test.
        alternative: of the test.
        wanted: power, 0 to 1.

    Returns:
        Their number in all strata together; None beyond MOST_DOMAINS of each.
    """
    centre, variance, _ = _each(means, strata)
    mean, variance = abs(float(centre.mean())), np.maximum(variance, _TINY)
    numbers = np.arange(2, MOST_DOMAINS + 1)
    reached = numbers[_power(mean, variance, numbers.astype(np.float64), alpha, alternative) >= wanted]
    return int(reached[0]) * len(variance) if len(reached) else None
