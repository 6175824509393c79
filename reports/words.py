"""The verdict in plain words: effect first, then interval, then p, and always how many domains and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator

from quantdg.reports.claims import Claim, Rules
from quantdg.reports.order import CONTROLS
from quantdg.reports.stats.signflip import smallest_p
from quantdg.reports.verdict import Judged, Scope, Verdict

EMPTY = "—"
_CONTROL_MEANING = {
    "freeze": "freezing the convolutions at the same step",
    "round_freeze": "rounding once and freezing",
    "uniform_noise": "noise of the same size",
}


def p_text(p: float) -> str:
    """``0.125``, or ``< 0.001``."""
    if math.isnan(p):
        return EMPTY
    return "< 0.001" if p < 0.001 else f"{p:.3g}"


def p_phrase(p: float) -> str:
    """``p = 0.125`` or ``p < 0.001``."""
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"


def interval_text(low: float, high: float) -> str:
    """``+1.12 to +2.80``; a dash with one domain."""
    return EMPTY if math.isnan(low) else f"{low:+.2f} to {high:+.2f}"


def _needed(claim: Claim) -> str:
    few = claim.effect is None or claim.effect.n_domains < 2
    if few or claim.answer not in ("not decidable", "not shown"):
        return ""
    if claim.needed is None:
        return " More than 256 domains, or another effect, would be needed for 80 % power."
    return f" If the true effect is as measured, {claim.needed} domains would give 80 % power."


def _counted(domains: int, seeds: int) -> str:
    return f"{domains} {'domain' if domains == 1 else 'domains'} x {seeds} {'seed' if seeds == 1 else 'seeds'}"


def claim_words(claim: Claim, rules: Rules) -> str:
    """One claim as two or three sentences."""
    e = claim.effect
    if e is None:
        return f"{claim.name}: incomplete, not judged."
    level = f"{100 * (1 - rules.alpha):g} %"
    interval = "one domain: no interval" if math.isnan(e.low) else f"{level} interval {interval_text(e.low, e.high)}"
    holm = "" if claim.adjusted == claim.p else f" (Holm {p_text(claim.adjusted)})"
    here = "" if math.isnan(claim.here) else f" On these domains, over seeds: {p_phrase(claim.here)}."
    return (
        f"{claim.name}: {e.mean:+.2f} points ({interval}); worst domain {e.worst_domain} {e.worst:+.2f}; above zero in "
        f"{e.share_positive:.0%} of {_counted(e.n_domains, e.n_seeds)}; {p_phrase(claim.p)}{holm}: "
        f"{claim.answer}.{_needed(claim)}{here}"
    )


def _every(judged: Judged, scope: Scope, rules: Rules) -> str:
    t, n = judged.together, len(scope.domains)
    if not t.names:
        return "Does the gain hold under every quantizer? No quantizer is complete yet."
    names = ", ".join(t.names)
    without = f" Not judged, incomplete: {', '.join(t.incomplete)}." if t.incomplete else ""
    start = f"Does the gain hold under every quantizer ({names})?"
    if t.answer == "not decidable":
        least = p_text(smallest_p(n, "greater"))
        return f"{start} Not decidable: with {n} target {'domain' if n == 1 else 'domains'} no result can have a p below {least}.{without}"
    answer = "Yes" if t.answer == "yes" else "Not shown"
    share = f"at least {t.at_least} of {len(t.names)} gain, at {1 - rules.alpha:.0%} confidence"
    if not t.at_least:
        share = "nor is it shown that at least one of them gains"
    return f"{start} {answer} ({p_phrase(t.p_every)}, the largest of {len(t.names)}); {share}.{without}"


def quantizations_own(judged: Judged) -> str:
    """Whether the gain is more than every control gives; names the controls that were not run."""
    by_quantizer: dict[str, dict[str, Claim]] = {}
    for against in judged.controls:
        by_quantizer.setdefault(against.quantizer, {})[against.control] = against.claim
    sentences = []
    for claim in judged.quantizers:
        found = by_quantizer.get(claim.name, {})
        missing = [_CONTROL_MEANING[name] for name in CONTROLS if name not in found]
        beaten = [_CONTROL_MEANING[name] for name, c in found.items() if c.answer == "yes"]
        answer = "yes" if len(beaten) == len(CONTROLS) else "not shown"
        if any(c.answer == "not decidable" for c in found.values()):
            answer = "not decidable"
        details = [
            f"{_CONTROL_MEANING[k]} {c.effect.mean:+.2f} ({p_phrase(c.p)})" for k, c in found.items() if c.effect
        ]
        if missing:
            details.append(f"not run: {'; '.join(missing)}")
        sentences.append(f"{claim.name}: {answer} ({'; '.join(details) or 'no control is complete'})")
    return "Is it quantization's own gain, more than every control? " + ". ".join(sentences) + "."


def _here(judged: Judged, scope: Scope, rules: Rules) -> Iterator[str]:
    """The smaller claim, for these domains only."""
    if len(scope.seeds) == 1:
        yield "One seed: nothing can be said on these domains alone."
    known = [c for c in judged.quantizers if c.effect is not None and not math.isnan(c.here)]
    for word, sign in (("gain", 1), ("lose", -1)):
        names = [c.name for c in known if c.effect and c.here <= rules.alpha and sign * c.effect.mean > 0]
        if names:
            yield f"On these {len(scope.domains)} domains, over seeds: {', '.join(names)} {word} (uncorrected)."


def _brief(claim: Claim) -> str:
    e = claim.effect
    if e is None:
        return f"{claim.name}: incomplete"
    return f"{claim.name}: {e.mean:+.2f} points ({interval_text(e.low, e.high)}), {p_phrase(claim.p)}, {claim.answer}"


def _effect_of_averaging(judged: Judged) -> Iterator[str]:
    crossed = [_brief(s.interaction) for s in judged.squares if s.interaction.effect is not None]
    if crossed:
        yield "Does weight averaging change the quantizer's gain (interaction)? " + "; ".join(crossed) + "."


def _effect_on_the_method(judged: Judged, rules: Rules) -> Iterator[str]:
    parts = [
        f"{_brief(c.difference)}; within ±{rules.margin:g} points {p_phrase(c.p_equivalent)}: {c.answer}"
        for c in judged.changes
        if c.difference.effect is not None
    ]
    if parts:
        yield f"Does {judged.algorithm}'s gain over ERM change under a quantizer? " + ". ".join(parts) + "."


def judged_words(judged: Judged, scope: Scope, rules: Rules) -> Iterator[str]:
    """The sentences on one algorithm, the answer to the main question first."""
    yield _every(judged, scope, rules)
    yield from _here(judged, scope, rules)
    for claim in judged.quantizers:
        yield claim_words(claim, rules)
    if judged.quantizers:
        yield quantizations_own(judged)
    yield from _effect_of_averaging(judged)
    yield from _effect_on_the_method(judged, rules)


def verdict_words(verdict: Verdict) -> Iterator[tuple[str, list[str]]]:
    """(heading, sentences) for each scope and algorithm; plain text, to be escaped by the caller."""
    for scope in verdict.scopes:
        for judged in scope.judged:
            heading = (
                f"{judged.algorithm} on {scope.name}: {_counted(len(scope.domains), len(scope.seeds))}, "
                f"selection {scope.selection}"
            )
            yield heading, list(judged_words(judged, scope, verdict.rules))
