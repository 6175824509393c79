"""Differences of gains: against the controls, with and without weight averaging, of a DG method under a quantizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..frames.columns import FLOAT, PRIMARY, quantizer_label
from ..frames.cube import Cube, Floats, Method
from ..frames.gains import float_of
from ..stats.effect import t_interval
from ..stats.equivalence import tost
from .claims import NAN, Claim, claim

BASELINE = "erm"
_SINGLE = (PRIMARY, "last", "oracle")


@dataclass(frozen=True)
class Square:
    """Quantizer x weight averaging.

    Attributes:
        quantizer, average: the two factors; the average is a selection rule such as ``swad``.
        accuracy: mean percent of (float, quantized, float averaged, quantized averaged).
        interaction: (gain with averaging) - (gain without), two-sided: below 0, the two overlap.
    """

    quantizer: str
    average: str
    accuracy: tuple[float, float, float, float]
    interaction: Claim


@dataclass(frozen=True)
class Change:
    """Whether a DG method's gain over ERM is the same under a quantizer as in float.

    Attributes:
        difference: gain under the quantizer minus gain in float, two-sided.
        low, high: (1 - 2 alpha) t-interval of it, the one that equivalence is read from.
        p_equivalent: TOST with the margin of the rules.
        answer: ``equivalent``, ``changes``, ``undecided`` or ``incomplete``.
    """

    difference: Claim
    low: float
    high: float
    p_equivalent: float
    answer: str


@dataclass(frozen=True)
class Against:
    """One quantizer against one control: names, and the one-sided claim "more than it"."""

    quantizer: str
    control: str
    claim: Claim


def _name(method: Method) -> str:
    return quantizer_label(method[1], method[2])


def control_of(cube: Cube, method: Method, control: str) -> Method | None:
    """The control at the same bits; else at the same weight bits (controls act on weights); else without bits."""
    found = {m[2]: m for m in cube.methods if m[1] == control and (m[0], m[3]) == (method[0], method[3])}
    weights = method[2].split("A", maxsplit=1)[0]
    return next((found[bits] for bits in (method[2], weights, FLOAT) if bits in found), None)


def against_controls(cube: Cube, methods: list[Method], controls: Iterable[str], rules: Rules) -> list[Against]:
    """One-sided claims "more than the control", for each quantizer and each control that was run."""
    out = []
    for method in methods:
        for name in controls:
            control = control_of(cube, method, name)
            if control is not None:
                values = cube.difference(method, control)
                found = claim(f"{_name(method)} > {_name(control)}", values, cube.targets, rules, "greater")
                found = replace(found, keys=cube.keys_of(method, control))
                out.append(Against(_name(method), name, found))
    return out


def _mean(values: Floats) -> float:
    return float(values.mean())


def squares(cube: Cube, methods: list[Method], rules: Rules) -> list[Square]:
    """The 2x2 of each quantizer with each averaging rule that the records hold."""
    averages = sorted({m[3] for m in cube.methods} - set(_SINGLE))
    out = []
    for method in methods:
        for average in averages:
            with_average: Method = (*method[:3], average)
            corners = (float_of(method), method, float_of(with_average), with_average)
            a, b, c, d = (cube.of_method(m) for m in corners)
            crossed = claim(f"{_name(method)} x {average}", (d - c) - (b - a), cube.targets, rules, "two-sided")
            crossed = replace(crossed, keys=cube.keys_of(*corners))
            out.append(Square(_name(method), average, (_mean(a), _mean(b), _mean(c), _mean(d)), crossed))
    return out


def changes(cube: Cube, methods: list[Method], rules: Rules) -> list[Change]:
    """Difference in differences of each quantizer, for an algorithm other than ERM."""
    out = []
    for method in methods:
        plain: Method = (BASELINE, *method[1:])
        if method[0] == BASELINE or plain not in cube.methods:
            continue
        in_float = cube.difference(float_of(method), float_of(plain))
        found = claim(_name(method), cube.difference(method, plain) - in_float, cube.targets, rules, "two-sided")
        found = replace(found, keys=cube.keys_of(method, plain, float_of(method), float_of(plain)))
        out.append(_change(found, cube.difference(method, plain) - in_float, rules))
    return out


def _change(found: Claim, values: Floats, rules: Rules) -> Change:
    if found.effect is None:
        return Change(found, NAN, NAN, NAN, "incomplete")
    means = np.asarray(values.mean(axis=1))
    if len(means) < 2:
        return Change(found, NAN, NAN, NAN, "undecided")
    _, low, high = t_interval(means, 1 - 2 * rules.alpha)
    p = float(tost(means, rules.margin))
    if p <= rules.alpha:
        return Change(found, low, high, p, "equivalent")
    return Change(found, low, high, p, "changes" if found.answer in ("gain", "loss") else "undecided")
