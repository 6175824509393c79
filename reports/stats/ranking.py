"""Many methods at once: Friedman's test over blocks, mean ranks, and the critical difference between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats  # type: ignore[import-untyped,unused-ignore]

from quantdg.reports.stats.effect import Floats
from quantdg.reports.stats.multiple import holm
from quantdg.reports.stats.signflip import sign_flip


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
    ranks = stats.rankdata(-values, axis=1).mean(axis=0)
    constant = np.ptp(values, axis=1).max() == 0
    p = 1.0 if constant else float(stats.friedmanchisquare(*values.T).pvalue)
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    pairs = list(combinations(range(k), 2))
    adjusted = holm(sign_flip(np.stack([values[:, i] - values[:, j] for i, j in pairs])))
    pairwise = np.ones((k, k))
    for (i, j), value in zip(pairs, adjusted, strict=True):
        pairwise[i, j] = pairwise[j, i] = value
    return Ranking(np.asarray(ranks), p, q * float(np.sqrt(k * (k + 1) / (6 * n))), pairwise, n)
