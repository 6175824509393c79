"""Many methods at once: Friedman's test over blocks, mean ranks, and the critical difference between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from .effect import Floats
from .multiple import holm
from .signflip import sign_flip


@dataclass(frozen=True)
class Ranking:
    """Methods compared on common blocks.

    Attributes:
        ranks: mean rank of each method, 1 is best; shape (methods,).
        p: Friedman's, of the hypothesis that all methods are alike.
        critical_difference: of mean ranks, Nemenyi at alpha; it depends on which methods are in the pool.
        pairwise: sign-flip p of each pair on block differences, Holm over pairs; shape (methods, methods), 1 on
            the diagonal. It does not depend on the other methods but for the correction.
        n_blocks: how many.
    """

    ranks: Floats
    p: float
    critical_difference: float
    pairwise: Floats
    n_blocks: int


def ranks(values: Floats) -> Floats:
    """Return ranks along the last axis, 1 for the smallest, ties sharing their mean; at most two axes."""
    table = pd.DataFrame(np.atleast_2d(values)).rank(axis=1).to_numpy()
    return np.asarray(table.reshape(np.shape(values)))


def friedman(values: Floats) -> float:
    """Return Friedman's p-value of the hypothesis that no column differs from another.

    Args:
        values: shape (blocks, columns), at least 2 x 2.

    Returns:
        From the chi-squared approximation, corrected for ties; 1 where every block is constant.

    Reference: Friedman, The use of ranks to avoid the assumption of normality (1937); ties: Conover, Practical
    Nonparametric Statistics (1999), section 5.8.
    """
    n, k = values.shape
    placed = ranks(values)
    spread = float(((placed - (k + 1) / 2) ** 2).sum())
    if spread == 0:
        return 1.0
    between = float(((placed.sum(axis=0) - n * (k + 1) / 2) ** 2).sum())
    return float(special.chdtrc(k - 1, (k - 1) * between / spread))


@lru_cache(maxsize=64)
def studentized_range(level: float, k: int) -> float:
    """Return the ``level`` quantile of the range of ``k`` independent standard normal values.

    Reference: Tukey; P(range <= q) = k * integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1) dz.
    """
    z = np.linspace(-8, 8 + 12, 4001)
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    low, high = 0.0, 12.0
    for _ in range(50):
        middle = (low + high) / 2
        below = k * float(weight @ (special.ndtr(z) - special.ndtr(z - middle)) ** (k - 1))
        low, high = (middle, high) if below < level else (low, middle)
    return high


def rank(values: Floats, alpha: float = 0.05) -> Ranking | None:
    """Rank methods by value, higher is better.

    Args:
        values: shape (blocks, methods); a block is one target domain's mean over seeds.
        alpha: of the critical difference.

    Returns:
        None with fewer than 3 methods or 2 blocks.

    Reference: Demšar, Statistical comparisons of classifiers over multiple data sets (JMLR 2006), section 3.2.
    """
    n, k = values.shape
    if k < 3 or n < 2:
        return None
    pairs = list(combinations(range(k), 2))
    adjusted = holm(sign_flip(np.stack([values[:, i] - values[:, j] for i, j in pairs])))
    pairwise = np.ones((k, k))
    for (i, j), value in zip(pairs, adjusted, strict=True):
        pairwise[i, j] = pairwise[j, i] = value
    difference = studentized_range(1 - alpha, k) * float(np.sqrt(k * (k + 1) / (12 * n)))
    mean_ranks = ranks(-values).mean(axis=0)
    return Ranking(mean_ranks, friedman(values), difference, pairwise, n_blocks=n)
