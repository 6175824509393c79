"""What a run folder answers to a claim: by the verdict's tests, families and words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ...bench.results.verdict_rules import Rules
from ...core.errors import ConfigError
from ..frames.gains import over_float
from ..frames.results import Results
from ..stats.correlation import FEWEST
from ..stats.effect import Floats
from ..stats.signflip import Alternative
from ..stats.units import Domains
from ..verdict.claims import NAN, Answer, Claim, claim, family
from ..verdict.heterogeneity import compare_quantizers
from ..verdict.judge import conjunction_of
from .differences import Differences, paired, rows_text
from .flat import correlated
from .ground import Ground
from .statement import ACCURACY, RowPick, StatedClaim

Word = Literal["yes", "no", "not shown", "not decidable", "incomplete", "not run"]
_WORDS: dict[Answer, Word] = {
    "gain": "yes",
    "yes": "yes",
    "loss": "no",
    "not shown": "not shown",
    "not decidable": "not decidable",
    "incomplete": "incomplete",
}
_TWO_SIDED: Alternative = "two-sided"
_GREATER: Alternative = "greater"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one claim on one scope.

    Attributes:
        word: the answer; ``no`` where the opposite is shown.
        takes: what would decide it; empty where it is decided.
        mean: the effect, in points or in the metric's unit; of several the one farthest from the claim.
        low: lower end of its interval.
        high: upper end of its interval.
        row: whose effect it is, where there are several; else empty.
        most: mean and row at the other end, where there are several.
        several: how many differences.
        p: of the test that answers, after Holm where the verdict corrects.
        n_domains: how many units.
        n_seeds: how many replicates in each.
        keys: the records behind it.
    """

    word: Word
    takes: str = ""
    mean: float = NAN
    low: float = NAN
    high: float = NAN
    row: str = ""
    most: tuple[float, str] = (NAN, "")
    several: int = 1
    p: float = NAN
    n_domains: int = 0
    n_seeds: int = 0
    keys: tuple[str, ...] = ()


def finding(stated: StatedClaim, ground: Ground, datasets: tuple[str, ...], results: Results) -> Finding:
    """Answer a claim from the records.

    Args:
        stated: the claim.
        ground: what the run folder has of one model and protocol.
        datasets: of the scope; none for all that are there.
        results: of the run folder.
    """
    if stated.outside:
        return Finding(word="not run", takes=_to_run(stated.outside, stated))
    cube = ground.cube(datasets, stated.metric)
    here = stated.without_start(ground.start)
    found = paired(here, cube, results)
    absent = [f"the data set {name}" for name in datasets if name not in ground.datasets]
    absent += [f"the rows {rows_text(found.absent)}"] if found.absent else []
    if stated.metric != ACCURACY and ground.measured(stated.metric).empty:
        absent.append(f"{stated.metric} in each record (flatness=quick)")
    if absent:
        return Finding(word="not run", takes=_to_run(f"It takes {' and '.join(absent)}", stated))
    if stated.goes_with:
        return _correlation(here, ground, found, results)
    if stated.together == "differ":
        return _differ(found, results.rules)
    return _joined(found, results, stated) if len(found.rows) > 1 else _single(found, results, stated)


def _to_run(lacks: str, stated: StatedClaim) -> str:
    return f"{lacks}: {stated.run}" if stated.run else f"{lacks}."


def _single(found: Differences, results: Results, stated: StatedClaim) -> Finding:
    """One difference: a gain over float is the verdict's, Holm and all; a change of one is two-sided, the rest one-sided."""
    ((name, values),) = found.rows.items()
    sign, units, rules = _sign(stated), found.cube.units, results.rules
    beside = _gains_beside(found, name, results, stated) if stated.is_gain else {}
    each = family({row: sign * gains for row, gains in ({name: values} | beside).items()}, units, rules)
    size = max(sum(c.effect is not None for c in each), 1)
    two_sided = next(c for c in each if c.name == name)
    tested, sided = two_sided, _TWO_SIDED
    if name not in beside and stated.when is None:
        tested, sided = claim(name, sign * values, units, rules, alternative="greater"), _GREATER
    word = "no" if two_sided.answer == "loss" else _WORDS[tested.answer]
    made = Finding(word=word, p=tested.adjusted, keys=found.keys[name])
    return _described(made, [tested], sign, _takes(word, tested, units, rules.alpha / size, sided))


def _gains_beside(found: Differences, name: str, results: Results, stated: StatedClaim) -> dict[str, Floats]:
    """The gains that are corrected together: under the same algorithm and selection; empty for a control's."""
    method, kept = found.methods[name], stated.family or RowPick()
    gains = {
        name if m == method else f"{m[1]} {m[2]}": values
        for m, values in over_float(found.cube, method[3])
        if m[0] == method[0] and results.roles.is_method(m[1]) and kept.holds(m[1], m[2])
    }
    if stated.family and name not in gains:
        raise ConfigError(f"the family of claim {stated.id} must hold its row, {name}, among them; add that to family")
    return gains if name in gains else {}


def _joined(found: Differences, results: Results, stated: StatedClaim) -> Finding:
    """Several differences: the verdict's conjunction, or that at least one holds."""
    sign, units, rules = _sign(stated), found.cube.units, results.rules
    rows = {name: sign * values for name, values in found.rows.items()}
    judged, each = conjunction_of(rows, units, rules), family(rows, units, rules)
    whole = sorted((c for c in each if c.effect), key=lambda c: c.effect.mean if c.effect else NAN)
    if not whole:
        return Finding(word="incomplete", takes=_missing(each), several=len(rows))
    p, word = judged.p_every, judged.answer
    if stated.together == "some":
        p = judged.p_partial[0]
        word = "yes" if judged.at_least else judged.answer
    losses = sum(c.answer == "loss" for c in each)
    said: Word = "no" if losses == len(whole) or (losses and stated.together == "every") else word
    keys = tuple(key for name in judged.names for key in found.keys[name])
    made = Finding(word=said, p=p, row=whole[0].name, several=len(whole), keys=keys)
    takes = _takes(said, whole[0], units, rules.alpha, "greater")
    if judged.incomplete:
        takes = f"{takes} Incomplete and not judged: {rows_text(judged.incomplete)}.".strip()
    return _described(made, whole, sign, takes)


def _differ(found: Differences, rules: Rules) -> Finding:
    """Whether differences differ: the standard deviation of their true means."""
    compared = compare_quantizers(found.rows, found.keys, found.cube.units, rules)
    if not compared:
        return Finding(word="incomplete", takes="It takes at least two complete rows.", several=len(found.rows))
    d, units = compared[0], found.cube.units
    word: Word = d.answer  # type: ignore[assignment]
    whole = sum(bool(np.isfinite(values).all()) for values in found.rows.values())
    takes = _few(units, rules.alpha, "two-sided") if word == "not decidable" else ""
    return Finding(
        word=word, takes=takes, mean=d.between.sd, low=d.between.low, high=d.between.high, p=d.p, n_domains=d.n_domains,
        n_seeds=d.n_seeds, keys=d.keys, several=whole,
    )  # fmt: skip


def _correlation(stated: StatedClaim, ground: Ground, found: Differences, results: Results) -> Finding:
    """Whether the metric goes with the gap over rows, which are what is permuted."""
    r, keys = correlated(found, ground.measured(stated.metric, "gap"))
    if not r.methods:
        return Finding(word="incomplete", takes=f"It takes at least {FEWEST} complete rows.", several=len(found.rows))
    shown = r.spearman_p <= results.rules.alpha
    word: Word = "not shown" if not shown else "yes" if r.spearman * _sign(stated) > 0 else "no"
    return Finding(
        word=word, mean=r.spearman, p=r.spearman_p, n_domains=r.targets, n_seeds=len(found.cube.seeds), keys=keys,
        several=r.methods, takes="" if shown else "It takes further quantizers: rows are what is permuted.",
    )  # fmt: skip


def _sign(stated: StatedClaim) -> int:
    return 1 if stated.alternative == "greater" else -1


def _described(made: Finding, tested: list[Claim], sign: int, takes: str) -> Finding:
    """Add effect, interval and counts; signs as the contrast has them."""
    first, last = tested[0].effect, tested[-1].effect
    if first is None or last is None:
        return replace(made, takes=takes)
    low, high = sorted((sign * first.low, sign * first.high)) if not math.isnan(first.low) else (NAN, NAN)
    most = (sign * last.mean, tested[-1].name) if made.several > 1 else (NAN, "")
    return replace(
        made, mean=sign * first.mean, low=low, high=high, most=most, takes=takes, n_domains=first.n_domains,
        n_seeds=first.n_seeds,
    )  # fmt: skip


def _missing(each: list[Claim]) -> str:
    there, wanted = (sum(c.so_far[i] for c in each) for i in (1, 2))
    return f"It takes the missing cells: the same command runs them; {there} of {wanted} pairs are there."


def _few(units: Domains, alpha: float, alternative: Alternative) -> str:
    fewest = units.fewest(alpha, alternative)
    if fewest is None:
        return f"Not decidable: {units.too_few(alpha)}."
    return f"It takes at least {fewest} target domains to decide anything, here are {len(units.names)}."


def _takes(word: Word, weakest: Claim, units: Domains, alpha: float, alternative: Alternative) -> str:
    """Say what would decide it, as the answer on the terminal does."""
    if word == "incomplete":
        return _missing([weakest])
    if word == "not decidable":
        return _few(units, alpha, alternative)
    if word != "not shown" or weakest.effect is None:
        return ""
    if weakest.effect.mean <= 0:
        return "More domains would not show it: the effect points the other way on those that are here."
    needed = "more than 256" if weakest.needed is None else f"about {weakest.needed}"
    return f"It takes {needed} domains to show it, if it is as large as measured."
