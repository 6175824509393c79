"""Several p-values, one claim: each of them (Holm), all of them (conjunction), at least u of them (partial)."""

from __future__ import annotations

import numpy as np

from .effect import Floats


def holm(p: Floats) -> Floats:
    """Adjust p-values so that they control the chance of any false claim, under any dependence.

    Args:
        p: shape (..., tests).

    Reference: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    p = np.asarray(p, dtype=np.float64)
    n = p.shape[-1]
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, axis=-1) * (n - np.arange(n))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1), axis=-1)
    return adjusted


def conjunction(p: Floats) -> Floats:
    """Return the p-value of "every one holds": the largest, without correction.

    Args:
        p: shape (..., tests), one-sided.

    Reference: Berger, Multiparameter hypothesis testing and acceptance sampling (1982): intersection-union test.
    """
    return np.asarray(np.max(p, axis=-1))


def partial_conjunction(p: Floats) -> Floats:
    """Return p-values of "at least u hold", for u = 1 ... tests, valid under any dependence.

    The number of u with a value <= alpha is a lower confidence bound on how many hold.

    Args:
        p: shape (..., tests), one-sided.

    Returns:
        The same shape; entry u - 1 belongs to u. The last one equals `conjunction`.

    Reference: Benjamini and Heller, Screening for partial conjunction hypotheses (2008), Bonferroni form.
    """
    n = np.shape(p)[-1]
    steps = np.sort(p, axis=-1) * (n - np.arange(n))
    return np.asarray(np.minimum(np.maximum.accumulate(steps, axis=-1), 1))
