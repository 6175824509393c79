r"""Do two measures of several methods go together, targets taken apart?

    r = mean over targets of the correlation, over methods, of one measure with the other

Taking targets apart matters: a hard target that is large in both correlates them without any method doing anything. The
p-value is two-sided, from permutations of the methods, the same in every target: (1 + number of permutations with a
mean correlation at least as far from 0) / (1 + permutations). Whole methods are exchanged, since what a method does in
one target it tends to do in the others: permuting single cells would take that for agreement of the two measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .effect import Floats
from .ranking import ranks

FEWEST, DRAWS = 4, 2000


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """How two measures correlate over methods, averaged over targets.

    Attributes:
        spearman: rank correlation, -1 to 1; NaN where no target could be used.
        spearman_p: its two-sided permutation p-value.
        pearson: linear correlation, -1 to 1; NaN where no target could be used.
        pearson_p: its two-sided permutation p-value.
        targets: how many were used.
        methods: how many were used.
    """

    spearman: float
    spearman_p: float
    pearson: float
    pearson_p: float
    targets: int
    methods: int


NONE_FOUND = Correlation(
    spearman=math.nan, spearman_p=math.nan, pearson=math.nan, pearson_p=math.nan, targets=0, methods=0
)


def correlate(x: Floats, y: Floats, draws: int = DRAWS, seed: int = 0) -> Correlation:
    """Correlate two measures.

    Args:
        x: one measure, shape (targets, methods), finite. A target in which one of the two does not vary is left out;
            with fewer than FEWEST methods there is no answer.
        y: the other measure, of the same shape.
        draws: permutations, >= 1.
        seed: of the permutations; the same for both coefficients.
    """
    if x.size == 0 or x.shape[1] < FEWEST or not (vary := _varies(x) & _varies(y)).any():
        return NONE_FOUND
    x, y = x[vary], y[vary]
    spearman, spearman_p = _permuted(ranks(x), ranks(y), draws, seed)
    pearson, pearson_p = _permuted(x, y, draws, seed)
    return Correlation(
        spearman=spearman,
        spearman_p=spearman_p,
        pearson=pearson,
        pearson_p=pearson_p,
        targets=x.shape[0],
        methods=x.shape[1],
    )


def _varies(x: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.ptp(x, axis=1) > 1e-12 * np.abs(x).max(axis=1))  # means of equal numbers may differ in a bit


def _permuted(x: Floats, y: Floats, draws: int, seed: int) -> tuple[float, float]:
    """Mean correlation over targets and its p-value."""
    agreement = _standard(x).T @ _standard(y) / len(x)  # of each method in x with each in y
    methods = np.arange(x.shape[1])
    orders = np.random.default_rng(seed).permuted(np.tile(methods, (draws, 1)), axis=1)
    observed, null = float(np.trace(agreement)), agreement[methods, orders].sum(axis=1)
    extreme = int((np.abs(null) >= abs(observed) - 1e-12).sum())
    return observed, (1 + extreme) / (1 + draws)


def _standard(x: Floats) -> Floats:
    centred = x - x.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=1, keepdims=True)))
