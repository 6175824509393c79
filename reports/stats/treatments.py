r"""Do treatments differ? A joint sign-flip test over blocks, and how far the treatments' true means lie apart.

With x_dq the value of treatment q in block d, n blocks, k treatments, c_dq = x_dq - mean_d its deviation,

    MS_q = n * sum_q (mean_q - mean)^2 / (k - 1),   MS_r = sum_dq (c_dq - mean_q + mean)^2 / ((n - 1)(k - 1))

If the treatments do not differ, the deviations of a block are as likely as their opposites: p is the share of sign
changes of whole blocks whose MS_q is at least the observed one. Treatments may vary unequally and together, which an
exchange of treatments within blocks would not allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats
from .signflip import signs


@dataclass(frozen=True)
class Between:
    """Standard deviation of the treatments' true means, in the unit of the values, and its interval.

    Attributes:
        sd: method-of-moments estimate, 0 where treatments vary no more than blocks explain.
        low: lower end of the Williams-Tukey interval, for normal treatments and residuals.
        high: its upper end.
    """

    sd: float
    low: float
    high: float


def joint_sign_flip(values: Floats) -> float:
    """Return the p-value of the hypothesis that the treatments' means are the same for blocks in general.

    Args:
        values: shape (blocks, treatments), at least 2 treatments; with two, the two-sided sign-flip test of their
            difference, whose smallest p it shares.

    Reference: Fisher's randomisation argument applied to vectors: Pesarin, Multivariate Permutation Tests (2001),
    section 6.
    """
    deviations = values - values.mean(axis=1, keepdims=True)
    apart = ((signs(len(values)) @ deviations) ** 2).sum(axis=1)
    observed = float((deviations.sum(axis=0) ** 2).sum())
    return float((apart >= observed * (1 - 1e-9)).mean())


def fixed_effects_f_test(values: Floats) -> float:
    """Return the p-value of the hypothesis that the treatments' means over exactly these blocks are the same.

    The only chance is the replicates': the F-test with their variance, after the effect that treatments share within a
    replicate, on ``blocks * (replicates - 1) * (treatments - 1)`` degrees of freedom.

    Args:
        values: shape (treatments, blocks, replicates).

    Returns:
        0 to 1; NaN with one replicate.

    Reference: fixed-effects analysis of variance; Scheffé, The Analysis of Variance (1959), chapter 4.
    """
    k, n, replicates = values.shape
    if replicates < 2:
        return float("nan")
    deviations = values - values.mean(axis=0)
    rest = deviations - deviations.mean(axis=2, keepdims=True)
    freedom = n * (replicates - 1) * (k - 1)
    apart = n * replicates * float((deviations.mean(axis=(1, 2)) ** 2).sum()) / (k - 1)
    error = max(float((rest**2).sum()) / freedom, 1e-24)
    return float(special.fdtrc(k - 1, freedom, apart / error))


def spread_between(values: Floats, level: float = 0.95) -> Between:
    """Estimate how far the treatments' true means lie apart.

    Args:
        values: shape (blocks, treatments), at least 2 x 2.
        level: of the interval, 0 to 1.

    Reference: Williams, A confidence interval for variance components (1962); Searle, Casella and McCulloch,
    Variance Components (1992), section 3.6.
    """
    n, k = values.shape
    means = values.mean(axis=0)
    squares = n * float(((means - means.mean()) ** 2).sum())
    rest = values - values.mean(axis=1, keepdims=True) - means + means.mean()
    residual = max(float((rest**2).sum()) / ((n - 1) * (k - 1)), 1e-18)
    tail, ratio = (1 - level) / 2, max(squares / (k - 1) / residual, 1e-18)

    def bound(share: float) -> float:
        beyond = special.fdtri(k - 1, (n - 1) * (k - 1), share)
        return float(np.sqrt(max(squares * (1 - beyond / ratio), 0.0) / (n * special.chdtri(k - 1, 1 - share))))

    sd = float(np.sqrt(max((squares / (k - 1) - residual) / n, 0.0)))
    return Between(sd, bound(1 - tail), bound(tail))
