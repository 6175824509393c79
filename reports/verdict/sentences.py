"""The verdict in plain words: effect first, then interval, then p, and always how many domains and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...bench.results.verdict_rules import Rules
from ..stats.units import DataSets
from ..text.numbers import counted, interval_text, p_phrase, p_text, points, span_text
from .claims import Claim
from .judge import AlgorithmVerdict, Scope, Verdict
from .needed import needed_text

if TYPE_CHECKING:
    from typing_extensions import Self


class TracedSentence(str):
    """A sentence that knows the records behind its numbers, by their ``keys``."""

    keys: tuple[str, ...]

    def __new__(cls, text: str, keys: Iterable[str] = ()) -> Self:
        """Make a sentence; ``keys`` may name a record more than once."""
        made = super().__new__(cls, text)
        made.keys = tuple(dict.fromkeys(keys))
        return made


def _keys(claims: Iterable[Claim]) -> list[str]:
    return [key for claim in claims for key in claim.keys]


def _needed(claim: Claim) -> str:
    few = claim.effect is None or claim.effect.n_domains < 2
    if few or claim.answer not in ("not decidable", "not shown"):
        return ""
    count = needed_text(claim.needed)
    return f" If the true effect is as measured, {count} {claim.unit}s are needed to show it with 80 % power."


def units_and_seeds(units: int, seeds: int, unit: str = "domain") -> str:
    """Write how many units and seeds there are, for example ``8 domains x 1 seed``."""
    return f"{counted(units, unit)} x {counted(seeds, 'seed')}"


def _spread(claim: Claim) -> str:
    s = claim.spread
    if s is None:
        return ""
    return (
        f" Its standard deviation is {s.strata:.2f} points between data sets, {s.domains:.2f} between domains of one."
    )


def _so_far(claim: Claim) -> str:
    mean, there, wanted = claim.so_far
    if not there:
        return "incomplete, not judged"
    return f"incomplete, not judged; so far {points(mean)} points over {there} of {wanted} pairs"


def claim_sentence(claim: Claim, rules: Rules) -> TracedSentence:
    """Write one claim as two or three sentences."""
    e = claim.effect
    if e is None:
        return TracedSentence(f"{claim.name}: {_so_far(claim)}.", claim.keys)
    level = f"{100 * (1 - rules.alpha):g} %"
    interval = "one domain: no interval" if math.isnan(e.low) else f"{level} interval {interval_text(e.low, e.high)}"
    holm = "" if claim.adjusted == claim.p else f" (Holm {p_text(claim.adjusted)})"
    here = "" if math.isnan(claim.p_here) else f" For these domains alone: {p_phrase(claim.p_here)}."
    return TracedSentence(
        f"{claim.name}: {points(e.mean)} points ({interval}); worst {claim.unit} {e.worst_domain} {points(e.worst)}; above "
        f"zero in {e.share_positive:.0%} of {units_and_seeds(e.n_domains, e.n_seeds, claim.unit)}; {p_phrase(claim.p)}{holm}: "
        f"{claim.answer}.{_needed(claim)}{_spread(claim)}{here}",
        claim.keys,
    )


def _under_every_quantizer(judged: AlgorithmVerdict, scope: Scope, rules: Rules) -> str:
    t = judged.conjunction
    start = "Does the gain hold under every quantizer?"
    if not t.names:
        return f"{start} No quantizer is complete yet."
    least = min((c.effect.mean, c.name) for c in judged.quantizers if c.effect)
    which = "only mean gain" if len(t.names) == 1 else f"smallest of {len(t.names)} mean gains"
    effect = f"The {which} is {points(least[0])} points ({least[1]})"
    without = f" Not judged, incomplete: {', '.join(t.incomplete)}." if t.incomplete else ""
    if t.answer == "not decidable":
        return f"{start} Not decidable: {scope.units.too_few(rules.alpha)}. {effect}.{without}"
    share = f"at least {t.at_least} of {len(t.names)} gain, at {1 - rules.alpha:.0%} confidence"
    if not t.at_least:
        share = "nor is it shown that any of them gains"
    answer = "Yes" if t.answer == "yes" else "Not shown"
    return f"{start} {answer}. {effect}, {p_phrase(t.p_every)}; {share}.{without}"


def _control_answer(claim: Claim, found: dict[str, Claim], expected: dict[str, str]) -> str:
    missing = [meaning for name, meaning in expected.items() if name not in found]
    answer = "yes" if not missing and all(c.answer == "yes" for c in found.values()) else "not shown"
    if answer == "yes" and claim.answer != "gain":
        answer = "not shown, nor is a gain over float"
    if any(c.answer == "not decidable" for c in found.values()):
        answer = "not decidable"
    if any(c.effect is None for c in found.values()):
        answer = "not judged"
    details = [_against(expected[name], c) for name, c in found.items()]
    if missing:
        details.append(f"not run: {', '.join(missing)}")
    return f"{claim.name}: {answer}. {'; '.join(details)}."


def _against(control: str, claim: Claim) -> str:
    e = claim.effect
    if e is None:
        mean, there, wanted = claim.so_far
        return (
            f"{points(mean)} points so far against {control} ({there} of {wanted} pairs)"
            if there
            else f"no pair yet with {control}"
        )
    return f"{points(e.mean)} points against {control} ({interval_text(e.low, e.high)}, {p_phrase(claim.p)})"


def sentences_on_controls(judged: AlgorithmVerdict) -> Iterator[TracedSentence]:
    """Say whether the gain is more than every control gives, and name the controls that were not run."""
    by_quantizer: dict[str, dict[str, Claim]] = {}
    for against in judged.controls:
        by_quantizer.setdefault(against.quantizer, {})[against.control] = against.claim
    for i, claim in enumerate(judged.quantizers):
        question = "Is it quantization's own gain, more than every control? " if i == 0 else ""
        found = by_quantizer.get(claim.name, {})
        yield TracedSentence(question + _control_answer(claim, found, judged.expected_controls), _keys(found.values()))


def _these_domains(judged: AlgorithmVerdict, scope: Scope, rules: Rules) -> Iterator[TracedSentence]:
    """The smaller claim, for these domains only."""
    if isinstance(scope.units, DataSets):
        return
    if len(scope.seeds) == 1:
        yield TracedSentence("One seed: nothing can be said about these domains alone.")
    for word, sign in (("a gain", 1), ("a loss", -1)):
        found = [c for c in judged.quantizers if c.effect and c.p_here <= rules.alpha and sign * c.effect.mean > 0]
        if found:
            chance = f"{units_and_seeds(len(scope.domains), len(scope.seeds))}; seeds the only chance, uncorrected"
            names = ", ".join(c.name for c in found)
            yield TracedSentence(f"For these domains alone ({chance}), {word}: {names}.", _keys(found))


def _dependence(judged: AlgorithmVerdict, scope: Scope, rules: Rules) -> Iterator[TracedSentence]:
    """Whether the gain depends on the quantizer, and whether the conjunction hangs on one."""
    if not judged.heterogeneity:
        return
    d, *left_out = judged.heterogeneity
    here = "" if math.isnan(d.p_here) else f" For these domains alone: {p_phrase(d.p_here)}."
    interval = f"{100 * (1 - rules.alpha):g} % interval {span_text(d.between.low, d.between.high)}"
    spread = f"their true values differ by a standard deviation of {d.between.sd:.2f} points ({interval}); "
    yield TracedSentence(
        f"Does the gain depend on the quantizer? Mean gains run from {points(d.least[1])} ({d.least[0]}) to "
        f"{points(d.most[1])} points ({d.most[0]}); {'' if math.isnan(d.between.sd) else spread}"
        f"{units_and_seeds(d.n_domains, d.n_seeds, scope.units.word)}; {p_phrase(d.p)}: {d.answer}.{here}",
        d.keys,
    )
    if judged.conjunction.answer != "not shown":
        return
    alone = [f"without {x.without} ({p_phrase(x.p_every)})" for x in left_out if x.p_every <= rules.alpha]
    found = "No: whichever is left out, a gain under all others is not shown"
    if alone:
        found = f"Yes: the gain holds under all others {' or '.join(alone)}"
    yield TracedSentence(f"Does the answer for every quantizer hang on one of them? {found}.", d.keys)


def _brief(claim: Claim) -> str:
    e = claim.effect
    if e is None:
        return "incomplete"
    return f"{points(e.mean)} points ({interval_text(e.low, e.high)}), {p_phrase(claim.p)}: {claim.answer}"


def _effect_of_averaging(judged: AlgorithmVerdict) -> Iterator[TracedSentence]:
    crossed = [s for s in judged.interactions if s.claim.effect is not None]
    for i, s in enumerate(crossed):
        question = "Does weight averaging change the quantizer's gain? " if i == 0 else ""
        plain, quantized, averaged, both = s.accuracy
        gains = f"gain {points(quantized - plain)} points alone, {points(both - averaged)} together with {s.average}"
        said = f"{question}{s.quantizer}: {gains}; difference {_brief(s.claim)}."
        yield TracedSentence(said, s.claim.keys)


def _effect_on_the_method(judged: AlgorithmVerdict, rules: Rules) -> Iterator[TracedSentence]:
    differences = [c for c in judged.differences if c.claim.effect is not None]
    for i, c in enumerate(differences):
        question = f"Does {judged.algorithm}'s gain over ERM change under a quantizer? " if i == 0 else ""
        equal = f"within ±{rules.margin:g} points {p_phrase(c.p_equivalent)}: {c.answer}"
        yield TracedSentence(f"{question}{c.claim.name}: {_brief(c.claim)}; {equal}.", c.claim.keys)


def algorithm_sentences(judged: AlgorithmVerdict, scope: Scope, rules: Rules) -> Iterator[TracedSentence]:
    """Write the sentences on one algorithm, the answer to the main question first."""
    yield TracedSentence(_under_every_quantizer(judged, scope, rules), _keys(c for c in judged.quantizers if c.effect))
    yield from _these_domains(judged, scope, rules)
    for claim in judged.quantizers:
        yield claim_sentence(claim, rules)
    yield from _dependence(judged, scope, rules)
    if judged.controls or not isinstance(scope.units, DataSets):
        yield from sentences_on_controls(judged)
    yield from _effect_of_averaging(judged)
    yield from _effect_on_the_method(judged, rules)


def rules_sentence(rules: Rules) -> str:
    """Return level and margin in a sentence."""
    return f"Level {rules.alpha:g}; a difference up to {rules.margin:g} points counts as none."


def verdict_sentences(verdict: Verdict) -> Iterator[tuple[str, list[TracedSentence]]]:
    """Yield heading and sentences for each scope and algorithm: plain text, to be escaped by the caller."""
    for scope in verdict.scopes:
        for judged in scope.algorithms:
            heading = (
                f"{judged.algorithm} on {scope.name}: {units_and_seeds(len(scope.domains), len(scope.seeds), scope.units.word)}, "
                f"selection {scope.selection}"
            )
            yield heading, list(algorithm_sentences(judged, scope, verdict.rules))
