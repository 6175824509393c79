"""The answer in one word and one plain sentence, without a p-value, and what it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..frames.columns import algorithm_rank
from ..frames.results import Results
from ..stats.units import DataSets, DomainsOfDataSets
from ..text.numbers import counted, points
from ..verdict.claims import Claim
from ..verdict.judge import AlgorithmVerdict, Scope, Verdict
from ..verdict.needed import needed_text, too_few

Word = Literal["yes", "no", "not shown", "not decidable", "incomplete"]
QUESTION = "Does quantization-aware training improve domain generalization, under every quantizer?"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run folder answers to `QUESTION`.

    Attributes:
        word: ``no`` where a quantizer is shown to lose, else what the test of all quantizers together says.
        sentence: the effect under one algorithm, in plain words.
        takes: what would decide it; empty where it is decided.
        beyond: where several data sets were run, what is known of further ones, or what it takes; else empty.
        controls: under how many quantizers the gain is shown to be more than each control gives; empty without controls.
        counts: how many data sets, domains, seeds, quantizers and algorithms stand behind it; which of several answers it is.
        scope: the data it is about: the scope with the most domains; of several data sets, their further domains.
        judged: the verdict it is read from: that on ERM, where it was run.
    """

    word: Word
    sentence: str
    takes: str
    beyond: str
    controls: str
    counts: str
    scope: Scope
    judged: AlgorithmVerdict


def answer_of(verdict: Verdict, results: Results) -> Answer | None:
    """Return the answer of what was judged; None where no cell is there."""
    scopes = [scope for scope in verdict.scopes if scope.algorithms]
    if not scopes:
        return None
    scope = max(scopes, key=lambda s: len(s.domains))
    judged = min(scope.algorithms, key=lambda a: algorithm_rank(a.algorithm))
    word = _word(judged)
    return Answer(
        word=word,
        sentence=_sentence(judged, word),
        takes=_takes(judged, scope, word, alpha=verdict.rules.alpha),
        beyond=_beyond(scopes, scope, judged.algorithm, alpha=verdict.rules.alpha),
        controls=_controls(judged),
        counts=_counts(scope, results) + _one_of(scopes, scope),
        scope=scope,
        judged=judged,
    )


def _word(judged: AlgorithmVerdict) -> Word:
    if any(c.answer == "loss" for c in judged.quantizers):
        return "no"
    return judged.conjunction.answer


def _gains(judged: AlgorithmVerdict) -> list[tuple[float, Claim]]:
    """Mean gain and claim of each complete quantizer, the smallest first."""
    return sorted(((c.effect.mean, c) for c in judged.quantizers if c.effect), key=lambda pair: pair[0])


def _sentence(judged: AlgorithmVerdict, word: Word) -> str:
    found, without = _gains(judged), ""
    if judged.conjunction.incomplete:
        without = f" {len(judged.conjunction.incomplete)} more lack cells and are not judged."
    if not found:
        return f"Under {judged.algorithm} no quantizer is complete yet.{without}"
    (least, low), (most, high) = found[0], found[-1]
    if len(found) == 1:
        span = f"{low.name} changes accuracy on unseen domains by {points(least)} points"
    else:
        span = (
            f"{len(found)} {_noun([c for _, c in found])} change accuracy on unseen domains by {points(least)} ({low.name}) to {points(most)} "
            f"points ({high.name})"
        )
    losses = sum(c.answer == "loss" for _, c in found)
    shown = {
        "yes": "each of them gains" if len(found) > 1 else "that is a gain",
        "no": f"{losses} of them {'loses' if losses == 1 else 'lose'}" if len(found) > 1 else "that is a loss",
        "not shown": "that every one of them gains is not shown" if len(found) > 1 else "that it gains is not shown",
    }
    return f"Under {judged.algorithm} {span}; {shown.get(word, 'that cannot be told from chance here')}.{without}"


def _noun(claims: list[Claim]) -> str:
    """What several rows are: ``quantizers``, or ``widths of 2 quantizers`` where one was run with several."""
    names = {claim.name.partition(" ")[0] for claim in claims}
    return "quantizers" if len(names) == len(claims) else f"widths of {counted(len(names), 'quantizer')}"


def _takes(judged: AlgorithmVerdict, scope: Scope, word: Word, alpha: float) -> str:
    """Say how many domains would decide it."""
    if word == "incomplete":
        return "It takes the missing cells: the same command runs them."
    if word == "not decidable":
        return too_few(scope.units, alpha)
    if word != "not shown":
        return ""
    least, claim = _gains(judged)[0]
    if least <= 0:
        return f"More domains would not show it: {claim.name} does not gain on those that are here."
    needed = needed_text(claim.needed, "about ")
    return f"It takes {needed} domains to show the smallest gain ({claim.name}), if it is as large as measured."


def _beyond(scopes: list[Scope], scope: Scope, algorithm: str, alpha: float) -> str:
    """Say what the scope's own line-up of data sets lets one say about further ones."""
    if not isinstance(scope.units, DomainsOfDataSets):
        return ""
    names = scope.units.data_sets
    wider = next(s for s in scopes[scopes.index(scope) :] if isinstance(s.units, DataSets) and s.units.names == names)
    few = wider.units.too_few(alpha)
    word = next(_word(a) for a in wider.algorithms if a.algorithm == algorithm)
    return f"That is about further domains of these data sets; about further data sets: {f'not decidable, {few}' if few else word}."


def _controls(judged: AlgorithmVerdict) -> str:
    shown: dict[str, list[bool]] = {}
    for against in judged.controls:
        if against.claim.effect is not None:
            shown.setdefault(against.control, []).append(against.claim.answer == "yes")
    each = [(f"{sum(yes)} of {len(yes)}", judged.expected_controls.get(name, name)) for name, yes in shown.items()]
    if not each:
        return ""
    (count, control), *others = each
    rest = "".join(f", {count} to beat {control}" for count, control in others)
    return f"More than the controls? {count} {_noun(judged.quantizers)} are shown to beat {control}{rest}."


def _one_of(scopes: list[Scope], scope: Scope) -> str:
    """Name the scope where others have as many domains: another start step, or another network, is another answer."""
    alike = [s for s in scopes if s.units.word == scope.units.word and len(s.domains) == len(scope.domains)]
    return f"; one of {len(alike)} answers: {scope.where}" if len(alike) > 1 else ""


def _counts(scope: Scope, results: Results) -> str:
    quantizers = results.cells["quantizer"].unique()
    methods = sum(map(results.roles.is_method, quantizers))
    controls = sum(results.roles.rank(name) > 0 for name in quantizers) - methods
    parts = [
        (len(scope.units.data_sets) if isinstance(scope.units, DomainsOfDataSets) else 1, "data set"),
        (len(scope.domains), "domain"),
        (len(scope.seeds), "seed"),
        (methods, "quantizer"),
        (controls, "control"),
        (len(scope.algorithms), "algorithm"),
    ]
    return "on " + ", ".join(counted(n, what) for n, what in parts)
