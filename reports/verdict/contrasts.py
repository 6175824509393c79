"""Differences of gains: against the controls, with and without weight averaging, of a DG method under a quantizer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from ...bench.results.record import Selection, quantizer_label
from ...bench.results.verdict_rules import Rules
from ..frames.columns import FLOAT
from ..frames.cube import Cube, Method
from ..frames.gains import float_of
from ..stats.effect import Floats
from ..stats.units import Domains
from .claims import NAN, Claim, claim

BASELINE = "erm"
_SINGLE = get_args(Selection)


@dataclass(frozen=True)
class Interaction:
    """How a quantizer and weight averaging act together.

    Attributes:
        quantizer: the first factor, a label such as ``lsq W7``.
        average: the second factor, a selection rule such as ``swad``.
        accuracy: mean percent of (float, quantized, float averaged, quantized averaged).
        claim: (gain with averaging) - (gain without), two-sided: below 0, the two overlap.
    """

    quantizer: str
    average: str
    accuracy: tuple[float, float, float, float]
    claim: Claim


@dataclass(frozen=True)
class DifferenceInDifferences:
    """Whether a DG method's gain over ERM is the same under a quantizer as in float.

    Attributes:
        claim: the gain under the quantizer minus the gain in float, two-sided.
        answer: ``equivalent``, ``changes``, ``undecided`` or ``incomplete``.
        low: lower end of the (1 - 2 alpha) t-interval that equivalence is read from, points; NaN without one.
        high: upper end of that interval.
        p_equivalent: p-value of the two one-sided tests with the margin of the rules.
    """

    claim: Claim
    answer: str
    low: float = NAN
    high: float = NAN
    p_equivalent: float = NAN


@dataclass(frozen=True)
class ControlComparison:
    """One quantizer against one control.

    Attributes:
        quantizer: a label such as ``lsq W7``.
        control: the control's label without bits.
        claim: that the quantizer gains more, one-sided.
    """

    quantizer: str
    control: str
    claim: Claim


def _name(method: Method) -> str:
    return quantizer_label(method[1], method[2])


def control_of(cube: Cube, method: Method, control: str) -> Method | None:
    """Find the control at the same bits; else at the same weight bits, where controls act; else without bits."""
    found = {m[2]: m for m in cube.methods if m[1] == control and (m[0], m[3]) == (method[0], method[3])}
    weights = method[2].split("A", maxsplit=1)[0]
    return next((found[bits] for bits in (method[2], weights, FLOAT) if bits in found), None)


def against_controls(
    cube: Cube, methods: list[Method], controls: Iterable[str], rules: Rules
) -> list[ControlComparison]:
    """Compare each quantizer with each control that was run, one-sided."""
    out = []
    for method in methods:
        for wanted in controls:
            control = control_of(cube, method, wanted)
            if control is not None:
                values = cube.difference(method, control)
                name = f"{_name(method)} > {_name(control)}"
                found = claim(name, values, cube.units, rules, alternative="greater")
                found = replace(found, keys=cube.keys_of(method, control))
                out.append(ControlComparison(_name(method), wanted, found))
    return out


def interactions(cube: Cube, methods: list[Method], rules: Rules) -> list[Interaction]:
    """Cross each quantizer with each averaging rule that the records hold."""
    averages = sorted({m[3] for m in cube.methods} - set(_SINGLE))
    out = []
    for method in methods:
        for average in averages:
            with_average: Method = (*method[:3], average)
            corners = (float_of(method), method, float_of(with_average), with_average)
            a, b, c, d = (cube.of_method(m) for m in corners)
            name = f"{_name(method)} x {average}"
            mean = cube.units.mean
            means = (mean(a), mean(b), mean(c), mean(d))
            crossed = claim(name, (d - c) - (b - a), cube.units, rules, alternative="two-sided")
            crossed = replace(crossed, keys=cube.keys_of(*corners))
            out.append(Interaction(_name(method), average, means, crossed))
    return out


def differences_in_differences(cube: Cube, methods: list[Method], rules: Rules) -> list[DifferenceInDifferences]:
    """Compare the gain over ERM under each quantizer with the gain in float, for an algorithm other than ERM."""
    out = []
    for method in methods:
        plain: Method = (BASELINE, *method[1:])
        if method[0] == BASELINE or plain not in cube.methods:
            continue
        in_float = cube.difference(float_of(method), float_of(plain))
        change = cube.difference(method, plain) - in_float
        found = claim(_name(method), change, cube.units, rules, alternative="two-sided")
        found = replace(found, keys=cube.keys_of(method, plain, float_of(method), float_of(plain)))
        out.append(_with_equivalence(found, change, cube.units, rules))
    return out


def _with_equivalence(found: Claim, values: Floats, units: Domains, rules: Rules) -> DifferenceInDifferences:
    if found.effect is None:
        return DifferenceInDifferences(found, "incomplete")
    means = np.asarray(values.mean(axis=1))
    _, low, high = units.interval(means, 1 - 2 * rules.alpha)
    if math.isnan(low):
        return DifferenceInDifferences(found, "undecided")
    p = units.p_equivalent(means, rules.margin)
    answer = "equivalent" if p <= rules.alpha else "changes" if found.answer in ("gain", "loss") else "undecided"
    return DifferenceInDifferences(found, answer, low=low, high=high, p_equivalent=p)
