"""One claim about paired gains: its effect, its p-values, and what may be said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..stats.bootstrap import two_level_interval
from ..stats.effect import Effect, Floats, effect
from ..stats.fixed import on_these_domains
from ..stats.multiple import holm
from ..stats.power import domains_needed, spread
from ..stats.signflip import Alternative, sign_flip, smallest_p

Answer = Literal["gain", "loss", "yes", "not shown", "not decidable", "incomplete"]
NAN = float("nan")


@dataclass(frozen=True)
class Claim:
    """A comparison and its answer.

    Attributes:
        name: what is compared, for example ``lsq W7``.
        effect: in points; None where a (target, seed) pair is missing.
        p: sign-flip p on domain means (unit: domains).
        adjusted: Holm over its family; equals ``p`` for a claim that stands alone.
        keys: the records behind it.
        so_far: of an incomplete one, the mean over the pairs that are there, their number, and how many there must be.
        p_here: p with these domains taken as given (unit: seeds); NaN with one seed.
        answer: what may be said at alpha about domains in general.
        needed: domains for 80 % power if the true gain is as measured; None if beyond reach or not computed.
        resampled: two-level bootstrap interval, a second opinion; NaN below 8 domains and for a single claim.
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


def _tested(name: str, gains: Floats, domains: tuple[str, ...], rules: Rules, alternative: Alternative) -> Claim:
    """Effect and p-values; not answered yet."""
    found = effect(gains, list(domains), 1 - rules.alpha)
    p = float(sign_flip(gains.mean(axis=1), alternative))
    return Claim(name, found, p, adjusted=p, p_here=float(on_these_domains(gains)))


def claim(name: str, gains: Floats, domains: tuple[str, ...], rules: Rules, alternative: Alternative) -> Claim:
    """Test a claim that stands alone, from gains of shape (domains, seeds); it is incomplete where one is NaN."""
    if not np.isfinite(gains).all():
        return _incomplete(name, gains)
    tested = _tested(name, gains, domains, rules, alternative=alternative)
    return _answered(tested, gains, rules, alternative, adjusted=tested.p, family_size=1)


def _answered(
    tested: Claim, gains: Floats, rules: Rules, alternative: Alternative, *, adjusted: float, family_size: int
) -> Claim:
    assert tested.effect is not None
    least = family_size * smallest_p(len(gains), alternative)
    answer = _answer(tested.effect, adjusted, least, alternative, alpha=rules.alpha)
    needed = _needed(answer, gains, rules.alpha / family_size, alternative)
    return replace(tested, adjusted=adjusted, answer=answer, needed=needed)


def _needed(answer: Answer, gains: Floats, alpha: float, alternative: Alternative) -> int | None:
    if answer not in ("not decidable", "not shown") or len(gains) < 2:
        return None
    mean = float(gains.mean())
    if alternative == "greater" and mean <= 0:
        return None
    return domains_needed(mean, spread(gains).of_mean(gains.shape[1]), alpha, alternative)


def family(gains: dict[str, Floats], domains: tuple[str, ...], rules: Rules) -> list[Claim]:
    """Test two-sided claims, corrected together by Holm; incomplete ones are no part of the correction."""
    whole = {name: values for name, values in gains.items() if np.isfinite(values).all()}
    tested = [_tested(name, values, domains, rules, alternative="two-sided") for name, values in whole.items()]
    adjusted = holm(np.array([c.p for c in tested])) if tested else np.empty(0)
    made = {name: _incomplete(name, values) for name, values in gains.items()}
    for c, p in zip(tested, adjusted, strict=True):
        answered = _answered(c, whole[c.name], rules, "two-sided", adjusted=float(p), family_size=len(whole))
        made[c.name] = replace(answered, resampled=two_level_interval(whole[c.name], 1 - rules.alpha))
    return list(made.values())
