"""The matrix of gains: quantizers down, algorithms across, controls apart, each gain with its interval and answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...bench.results.record import quantizer_label
from ..frames import gains
from ..frames.columns import FLOAT
from ..frames.results import Results
from ..stats.effect import Floats
from ..stats.units import Domains
from ..verdict.claims import NAN
from ..verdict.judge import Scope


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One gain over float.

    Attributes:
        mean: in points over all domains, data sets counting alike; NaN where a cell is missing.
        low: lower end of its interval; NaN without one.
        high: upper end.
        answer: of the claim on it; empty for a control, on which none is made.
    """

    mean: float = NAN
    low: float = NAN
    high: float = NAN
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All gains of one scope.

    Attributes:
        algorithms: the columns.
        accuracy: of float under each, percent, mean over domains and seeds; NaN where a cell is missing.
        methods: entry of each algorithm by quantizer, which are rows.
        controls: the same for controls; the algorithms that lack a quantizer are absent.
    """

    algorithms: tuple[str, ...]
    accuracy: dict[str, float]
    methods: dict[str, dict[str, Entry]]
    controls: dict[str, dict[str, Entry]]


def matrix_of(scope: Scope, results: Results) -> Matrix:
    """Arrange the gains of a scope, by the selection rule that the scope is judged by."""
    cube = scope.cube
    answers = {(a.algorithm, c.name): c.answer for a in scope.algorithms for c in a.quantizers}
    methods: dict[str, dict[str, Entry]] = {}
    controls: dict[str, dict[str, Entry]] = {}
    for method, values in gains.over_float(cube, scope.selection):
        name = quantizer_label(method[1], method[2])
        rows = methods if results.roles.is_method(method[1]) else controls
        entry = _entry(values, cube.units, 1 - results.rules.alpha, answers.get((method[0], name), ""))
        rows.setdefault(name, {})[method[0]] = entry
    algorithms = tuple(a.algorithm for a in scope.algorithms)
    accuracy = {a: cube.units.mean(cube.of_method((a, FLOAT, FLOAT, scope.selection))) for a in algorithms}
    return Matrix(algorithms=algorithms, accuracy=accuracy, methods=methods, controls=controls)


def _entry(values: Floats, units: Domains, level: float, answer: str) -> Entry:
    if not np.isfinite(values).all():
        return Entry(answer="incomplete")
    mean, low, high = units.interval(values.mean(axis=1), level)
    return Entry(mean=mean, low=low, high=high, answer=answer)


def gain_of(row: dict[str, Entry], algorithm: str) -> float:
    """Return a row's gain under one algorithm for sorting; what is missing comes last."""
    mean = row[algorithm].mean if algorithm in row else NAN
    return -math.inf if math.isnan(mean) else mean
