"""One claim about paired gains: its effect, its p-values, and what may be said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..stats.effect import Effect, Floats, effect
from ..stats.multiple import holm
from ..stats.signflip import Alternative
from ..stats.strata import Components
from ..stats.units import Domains

Answer = Literal["gain", "loss", "yes", "not shown", "not decidable", "incomplete"]
NAN = float("nan")


@dataclass(frozen=True)
class Claim:
    """A comparison and its answer.

    Attributes:
        name: what is compared, for example ``lsq W7``.
        effect: in points; None where a (target, seed) pair is missing.
        p: of the test that `unit` calls for, on means over seeds.
        adjusted: Holm over its family; equals ``p`` for a claim that stands alone.
        keys: the records behind it.
        so_far: of an incomplete one, the mean over the pairs that are there, their number, and how many there must be.
        p_here: p with these domains taken as given (unit: seeds); NaN with one seed, and where data sets are the units.
        answer: what may be said at alpha about further units.
        needed: units for 80 % power if the true gain is as measured; None if beyond reach or not computed.
        resampled: two-level bootstrap interval, a second opinion; NaN below 8 units, for a single claim and for domains
            of several data sets.
        unit: ``domain`` or ``data set``.
        spread: where gains vary; None for one data set.
    """

    name: str
    effect: Effect | None
    p: float = NAN
    adjusted: float = NAN
    p_here: float = NAN
    answer: Answer = "incomplete"
    needed: int | None = None
    resampled: tuple[float, float] = (NAN, NAN)
    keys: tuple[str, ...] = ()
    so_far: tuple[float, int, int] = (NAN, 0, 0)
    unit: str = "domain"
    spread: Components | None = None


def _answer(found: Effect, adjusted: float, least: float, alternative: Alternative, alpha: float) -> Answer:
    if least > alpha:
        return "not decidable"
    if adjusted > alpha:
        return "not shown"
    if alternative == "greater":
        return "yes"
    return "gain" if found.mean > 0 else "loss"


def _incomplete(name: str, gains: Floats) -> Claim:
    there = gains[np.isfinite(gains)]
    return Claim(name, None, so_far=(float(there.mean()) if there.size else NAN, there.size, gains.size))


def _tested(name: str, gains: Floats, units: Domains, rules: Rules, alternative: Alternative) -> Claim:
    """Effect and p-values; not answered yet."""
    means = gains.mean(axis=1)
    mean, low, high = units.interval(means, 1 - rules.alpha)
    found = replace(effect(gains, list(units.names)), mean=mean, low=low, high=high)
    p = float(units.p(means, alternative))
    tested = Claim(name, found, p, adjusted=p, p_here=units.p_here(gains), unit=units.word)
    return replace(tested, spread=units.components(gains))


def claim(name: str, gains: Floats, units: Domains, rules: Rules, alternative: Alternative) -> Claim:
    """Test a claim that stands alone, from gains of shape (units, seeds); it is incomplete where one is NaN."""
    if not np.isfinite(gains).all():
        return _incomplete(name, gains)
    tested = _tested(name, gains, units, rules, alternative=alternative)
    return _answered(tested, gains, units, rules, alternative=alternative, family_size=1)


def _answered(
    tested: Claim, gains: Floats, units: Domains, rules: Rules, *, alternative: Alternative, family_size: int
) -> Claim:
    """The answer to a claim whose ``adjusted`` is that of its family."""
    assert tested.effect is not None
    least = family_size * units.smallest_p(alternative)
    answer = _answer(tested.effect, tested.adjusted, least, alternative, alpha=rules.alpha)
    open_ = answer in ("not decidable", "not shown") and len(gains) > 1
    if not open_ or (alternative == "greater" and tested.effect.mean <= 0):
        return replace(tested, answer=answer)
    return replace(tested, answer=answer, needed=units.needed(gains, rules.alpha / family_size, alternative))


def family(gains: dict[str, Floats], units: Domains, rules: Rules) -> list[Claim]:
    """Test two-sided claims, corrected together by Holm; incomplete ones are no part of the correction."""
    whole = {name: values for name, values in gains.items() if np.isfinite(values).all()}
    tested = [_tested(name, values, units, rules, alternative="two-sided") for name, values in whole.items()]
    adjusted = holm(np.array([c.p for c in tested])) if tested else np.empty(0)
    made = {name: _incomplete(name, values) for name, values in gains.items()}
    for c, p in zip(tested, adjusted, strict=True):
        corrected, values = replace(c, adjusted=float(p)), whole[c.name]
        answered = _answered(corrected, values, units, rules, alternative="two-sided", family_size=len(whole))
        made[c.name] = replace(answered, resampled=units.resampled(values, 1 - rules.alpha))
    return list(made.values())
