"""Whether differences lie within the margin that was fixed with the run: two one-sided tests, as in the verdict."""

from __future__ import annotations

import math

from ...bench.results.verdict_rules import Rules
from ..stats.effect import Floats
from ..stats.units import Domains
from ..verdict.claims import claim
from .differences import Differences
from .finding import Finding, Word, with_effect
from .takes import missing_cells


def equal(found: Differences, rules: Rules) -> Finding:
    """Decide whether every difference lies within the margin: the largest p counts, and no correction is needed.

    Args:
        found: differences, in points.
        rules: level and margin.
    """
    units = found.cube.units
    each = [claim(name, values, units, rules, alternative="two-sided") for name, values in found.rows.items()]
    whole = sorted((c for c in each if c.effect), key=lambda c: -abs(c.effect.mean) if c.effect else 0.0)
    if len(whole) < len(each):
        return Finding(word="incomplete", takes=missing_cells(each), several=len(each))
    means = [values.mean(axis=1) for values in found.rows.values()]
    word: Word = "not decidable"
    p = max(units.p_equivalent(values, rules.margin) for values in means)
    if whole[0].effect and not math.isnan(whole[0].effect.low):
        beyond = any(_beyond(values, units, rules) for values in means)
        word = "yes" if p <= rules.alpha else "no" if beyond else "not shown"
    open_ = {
        "not shown": f"It takes an interval within ±{rules.margin:g} points: more domains or seeds.",
        "not decidable": "It takes at least two domains of each data set.",
    }
    made = Finding(word=word, p=p, several=len(each), row=whole[0].name if len(each) > 1 else "",
                   keys=tuple(key for keys in found.keys.values() for key in keys))  # fmt: skip
    return with_effect(made, whole, 1, open_.get(word, ""))


def _beyond(means: Floats, units: Domains, rules: Rules) -> bool:
    """Whether the mean is shown to lie outside the margin, on either side."""
    sides = (float(units.p(sign * means - rules.margin, "greater")) for sign in (1, -1))
    return min(sides) <= rules.alpha / 2
