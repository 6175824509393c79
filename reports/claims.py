"""One claim about paired gains: its effect, its p-values, and what may be said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from quantdg.reports.cube import Floats
from quantdg.reports.stats.bootstrap import two_level_interval
from quantdg.reports.stats.effect import Effect, effect
from quantdg.reports.stats.fixed import on_these_domains
from quantdg.reports.stats.multiple import holm
from quantdg.reports.stats.power import domains_needed, spread
from quantdg.reports.stats.signflip import Alternative, sign_flip, smallest_p

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
        here: p with these domains taken as given (unit: seeds); NaN with one seed.
        answer: what may be said at alpha about domains in general.
        needed: domains for 80 % power if the true gain is as measured; None if beyond reach or not computed.
        resampled: two-level bootstrap interval, a second opinion; NaN below 8 domains.
    """

    name: str
    effect: Effect | None
    p: float = NAN
    adjusted: float = NAN
    here: float = NAN
    answer: Answer = "incomplete"
    needed: int | None = None
    resampled: tuple[float, float] = (NAN, NAN)


@dataclass(frozen=True)
class Rules:
    """How answers are given, fixed before looking.

    Attributes:
        alpha: level of every test, 0 to 1.
        margin: largest difference that does not matter, points.
    """

    alpha: float = 0.05
    margin: float = 0.5


def _answer(found: Effect, adjusted: float, least: float, alternative: Alternative, alpha: float) -> Answer:
    if least > alpha:
        return "not decidable"
    if adjusted > alpha:
        return "not shown"
    if alternative == "greater":
        return "yes"
    return "gain" if found.mean > 0 else "loss"


def claim(name: str, gains: Floats, domains: tuple[str, ...], rules: Rules, alternative: Alternative) -> Claim:
    """A claim that stands alone, from gains of shape (domains, seeds); incomplete where one is NaN."""
    if not np.isfinite(gains).all():
        return Claim(name, None)
    found = effect(gains, list(domains), 1 - rules.alpha)
    p = float(sign_flip(gains.mean(axis=1), alternative))
    here = float(on_these_domains(gains))
    least = smallest_p(found.n_domains, alternative)
    answer = _answer(found, p, least, alternative, rules.alpha)
    needed = _needed(answer, gains, rules.alpha, alternative)
    resampled = two_level_interval(gains, 1 - rules.alpha)
    return Claim(name, found, p, p, here, answer, needed, resampled)


def _needed(answer: Answer, gains: Floats, alpha: float, alternative: Alternative) -> int | None:
    if answer not in ("not decidable", "not shown") or len(gains) < 2:
        return None
    mean = float(gains.mean())
    if alternative == "greater" and mean <= 0:
        return None
    return domains_needed(mean, spread(gains).of_mean(gains.shape[1]), alpha, alternative)


def family(gains: dict[str, Floats], domains: tuple[str, ...], rules: Rules) -> list[Claim]:
    """Two-sided claims corrected together by Holm; incomplete ones are no part of the correction."""
    claims = [claim(name, values, domains, rules, "two-sided") for name, values in gains.items()]
    whole = [i for i, c in enumerate(claims) if c.effect is not None]
    if not whole:
        return claims
    adjusted = holm(np.array([claims[i].p for i in whole]))
    least = len(whole) * smallest_p(len(domains))
    for i, value in zip(whole, adjusted, strict=True):
        found = claims[i].effect
        assert found is not None
        answer = _answer(found, float(value), least, "two-sided", rules.alpha)
        values = gains[claims[i].name]
        needed = _needed(answer, values, rules.alpha / len(whole), "two-sided")
        claims[i] = replace(claims[i], adjusted=float(value), answer=answer, needed=needed)
    return claims
