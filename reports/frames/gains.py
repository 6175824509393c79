"""Paired gains over float: the same (target, seed), the same algorithm and selection rule, in points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..stats.effect import Floats
from .columns import FLOAT
from .cube import Cube, Method


@dataclass(frozen=True)
class Gain:
    """A mean paired difference in points.

    Attributes:
        mean: over all (target, seed) pairs; NaN where a pair is missing.
        se: standard error over the domain means (ddof 1); NaN with one domain.
        n_domains: how many target domains; 0 where a pair is missing.
        n_pairs: how many pairs; 0 where one is missing.
    """

    mean: float
    se: float
    n_domains: int
    n_pairs: int


def float_of(method: Method) -> Method:
    """Return the float row that ``method`` is compared with."""
    return method[0], FLOAT, FLOAT, method[3]


def over_float(cube: Cube, selection: str | None = None) -> Iterator[tuple[Method, Floats]]:
    """Yield every quantizer and control (of one selection rule) with its gains, shape (targets, seeds), points."""
    for method in cube.methods:
        if method[1] != FLOAT and selection in (None, method[3]):
            yield method, cube.difference(method, float_of(method))


def standard_error(values: Floats) -> float:
    """Return the standard error of a vector's mean, ddof 1; NaN for fewer than two values."""
    n = len(values)
    return float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def summarise(gains: Floats) -> Gain:
    """Return mean and standard error of gains of shape (targets, seeds)."""
    if not np.isfinite(gains).all():
        return Gain(float("nan"), float("nan"), 0, 0)
    return Gain(float(gains.mean()), standard_error(gains.mean(axis=1)), len(gains), gains.size)
