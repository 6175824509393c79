"""The matrix of gains: quantizers down, algorithms across, controls apart, each gain with its interval and answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from ...bench.results.record import Selection, quantizer_label
from ..frames import gains
from ..frames.columns import FLOAT
from ..frames.cube import Method
from ..frames.results import Results
from ..stats.effect import Floats
from ..stats.units import Domains
from ..verdict.claims import NAN, Claim, family
from ..verdict.judge import Scope

MARKS = {
    "gain": "▲",
    "yes": "▲",
    "loss": "▼",
    "not shown": "○",
    "not decidable": "?",
    "incomplete": "…",
}
"""The symbol of each answer."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One gain over float.

    Attributes:
        mean: in points over all domains, data sets counting alike; NaN where a cell is missing.
        low: lower end of its interval; NaN without one.
        high: upper end.
        claim: what is claimed of it; None for a control.
        keys: of the records behind it.
    """

    mean: float = NAN
    low: float = NAN
    high: float = NAN
    claim: Claim | None = None
    keys: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """Return the answer of the claim; empty for a complete control, on which none is made."""
        return "incomplete" if math.isnan(self.mean) else self.claim.answer if self.claim else ""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All gains of one scope under one selection rule.

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


def averagings_of(scope: Scope) -> list[str]:
    """List the weight averagings that were run, by the selection rule of their weights."""
    return sorted({method[3] for method in scope.cube.methods} - set(get_args(Selection)))


def matrix_of(scope: Scope, results: Results, average: str = "") -> Matrix:
    """Arrange the gains of a scope: those it was judged by, or those of averaged weights over averaged float ones.

    Args:
        scope: what was judged.
        results: whose rules and roles hold.
        average: one of `averagings_of`; its gains are claims alike, each algorithm's a family of its own.
    """
    cube, selection = scope.cube, average or scope.selection
    found = {
        method: (values, cube.keys_of(method, gains.float_of(method)))
        for method, values in gains.over_float(cube, selection)
    }
    claims = (
        _averaged(scope, results, found)
        if average
        else {(a.algorithm, c.name): c for a in scope.algorithms for c in a.quantizers}
    )
    methods: dict[str, dict[str, Entry]] = {}
    controls: dict[str, dict[str, Entry]] = {}
    for method, (values, keys) in found.items():
        name = quantizer_label(method[1], method[2])
        rows = methods if results.roles.is_method(method[1]) else controls
        entry = _entry(values, cube.units, 1 - results.rules.alpha)
        rows.setdefault(name, {})[method[0]] = replace(entry, claim=claims.get((method[0], name)), keys=keys)
    algorithms = tuple(a.algorithm for a in scope.algorithms)
    accuracy = {a: cube.units.mean(cube.of_method((a, FLOAT, FLOAT, selection))) for a in algorithms}
    return Matrix(algorithms=algorithms, accuracy=accuracy, methods=methods, controls=controls)


def _averaged(
    scope: Scope, results: Results, found: Mapping[Method, tuple[Floats, tuple[str, ...]]]
) -> dict[tuple[str, str], Claim]:
    """The claims on gains that the scope was not judged by."""
    out: dict[tuple[str, str], Claim] = {}
    for judged in scope.algorithms:
        own = {
            quantizer_label(m[1], m[2]): both
            for m, both in found.items()
            if m[0] == judged.algorithm and results.roles.is_method(m[1])
        }
        rows = {name: values for name, (values, _) in own.items()}
        for claim in family(rows, scope.units, results.rules):
            out[judged.algorithm, claim.name] = replace(claim, keys=own[claim.name][1])
    return out


def _entry(values: Floats, units: Domains, level: float) -> Entry:
    if not np.isfinite(values).all():
        return Entry()
    mean, low, high = units.interval(values.mean(axis=1), level)
    return Entry(mean=mean, low=low, high=high)


def gain_of(row: dict[str, Entry], algorithm: str) -> float:
    """Return a row's gain under one algorithm for sorting; what is missing comes last."""
    mean = row[algorithm].mean if algorithm in row else NAN
    return -math.inf if math.isnan(mean) else mean
