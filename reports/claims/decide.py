"""Decides a claim by the verdict's tests, families and words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...bench.results.verdict_rules import Rules
from ...core.errors import ConfigError
from ..frames.gains import over_float
from ..frames.results import Results
from ..stats.effect import Floats
from ..stats.signflip import Alternative
from ..verdict.claims import NAN, Answer, claim, family
from ..verdict.heterogeneity import compare_quantizers
from ..verdict.judge import conjunction_of
from ..verdict.needed import too_few
from .differences import Differences, paired, rows_text
from .equal import equal
from .finding import Finding, Word, with_effect
from .flat import correlation
from .ground import Ground
from .statement import ACCURACY, TOGETHER, RowPick, StatedClaim
from .takes import missing_cells, what_it_takes

_WORDS: dict[Answer, Word] = {
    "gain": "yes",
    "yes": "yes",
    "loss": "no",
    "not shown": "not shown",
    "not decidable": "not decidable",
    "incomplete": "incomplete",
}
_MEASURED_BY = {TOGETHER: "ensembles of seeds"}
_TWO_SIDED: Alternative = "two-sided"
_GREATER: Alternative = "greater"


def decide(stated: StatedClaim, ground: Ground, datasets: tuple[str, ...], results: Results) -> Finding:
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
        absent = [_MEASURED_BY.get(stated.metric, f"{stated.metric} in each record (flatness=quick)")]
    if absent:
        return Finding(word="not run", takes=_to_run(f"It takes {' and '.join(absent)}", stated))
    made = _answer(here, ground, found, results)
    if stated.metric == TOGETHER:  # one number for each domain, of at least so many seeds
        own = ground.ensembles[ground.ensembles["key"].isin(cube.keys.ravel())]
        made = replace(made, n_seeds=min(map(len, own["members"]), default=0))
    return made


def _answer(stated: StatedClaim, ground: Ground, found: Differences, results: Results) -> Finding:
    if stated.goes_with:
        return correlation(stated, ground, found, results.rules)
    if stated.alternative == "equal":
        return equal(found, results.rules)
    if stated.together == "differ":
        return _differ(found, results.rules)
    return _joined(found, results, stated) if len(found.rows) > 1 else _single(found, results, stated)


def _to_run(lacks: str, stated: StatedClaim) -> str:
    return f"{lacks}: {stated.run}" if stated.run else f"{lacks}."


def _single(found: Differences, results: Results, stated: StatedClaim) -> Finding:
    """One difference: a gain over float is the verdict's, Holm and all; a change of one is two-sided, the rest one-sided."""
    ((name, values),) = found.rows.items()
    sign, units, rules = stated.sign, found.cube.units, results.rules
    beside = _gains_beside(found, name, results, stated) if stated.is_gain else {}
    each = family({row: sign * gains for row, gains in ({name: values} | beside).items()}, units, rules)
    size = max(sum(c.effect is not None for c in each), 1)
    two_sided = next(c for c in each if c.name == name)
    tested, sided = two_sided, _TWO_SIDED
    if name not in beside and stated.when is None:
        tested, sided = claim(name, sign * values, units, rules, alternative="greater"), _GREATER
    word = "no" if two_sided.answer == "loss" else _WORDS[tested.answer]
    made = Finding(word=word, p=tested.adjusted, keys=found.keys[name])
    return with_effect(made, [tested], sign, what_it_takes(word, tested, units, rules.alpha / size, sided))


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
    sign, units, rules = stated.sign, found.cube.units, results.rules
    rows = {name: sign * values for name, values in found.rows.items()}
    judged, each = conjunction_of(rows, units, rules), family(rows, units, rules)
    some = stated.together == "some"
    whole = sorted((c for c in each if c.effect), key=lambda c: c.effect.mean if c.effect else NAN, reverse=some)
    if not whole:
        return Finding(word="incomplete", takes=missing_cells(each), several=len(rows))
    p, alpha, word = judged.p_every, rules.alpha, _WORDS[judged.answer]
    if some:
        p, alpha = judged.p_partial[0], rules.alpha / len(whole)
        word = "yes" if judged.at_least else "not decidable" if units.smallest_p("greater") > alpha else "not shown"
    losses = sum(c.answer == "loss" for c in each)
    if losses == len(whole) or (losses and stated.together == "every"):
        word = "no"
    elif word == "yes" and judged.incomplete and stated.together == "every":
        word = "incomplete"
    takes = missing_cells(each) if word == "incomplete" else what_it_takes(word, whole[0], units, alpha, "greater")
    if judged.incomplete:
        takes = f"{takes} Incomplete and not judged: {rows_text(judged.incomplete)}.".strip()
    keys = tuple(key for name in judged.names for key in found.keys[name])
    made = Finding(word=word, p=p, row=whole[0].name, several=len(whole), keys=keys)
    return with_effect(made, whole, sign, takes)


def _differ(found: Differences, rules: Rules) -> Finding:
    """Whether differences differ: the standard deviation of their true means."""
    compared = compare_quantizers(found.rows, found.keys, found.cube.units, rules)
    if not compared:
        return Finding(word="incomplete", takes="It takes at least two complete rows.", several=len(found.rows))
    d, units = compared[0], found.cube.units
    word: Word = d.answer  # type: ignore[assignment]
    whole = sum(bool(np.isfinite(values).all()) for values in found.rows.values())
    takes = "It takes more domains; how many is not estimated." if word == "not shown" else ""
    takes = too_few(units, rules.alpha, "two-sided") if word == "not decidable" else takes
    return Finding(
        word=word, takes=takes, mean=d.between.sd, low=d.between.low, high=d.between.high, p=d.p, n_domains=d.n_domains,
        n_seeds=d.n_seeds, keys=d.keys, several=whole,
    )  # fmt: skip
