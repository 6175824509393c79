"""Does the gain depend on the quantizer, and does the conjunction hang on one of them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..stats.effect import Floats
from ..stats.multiple import conjunction
from ..stats.signflip import smallest_p
from ..stats.treatments import Between, fixed_effects_f_test, joint_sign_flip, spread_between
from ..stats.units import DataSets, Domains
from .claims import NAN

NOT_KNOWN = Between(NAN, NAN, NAN)


@dataclass(frozen=True, kw_only=True)
class Heterogeneity:
    """How much the gains of several quantizers differ, all of them or all but one.

    Attributes:
        without: the quantizer left out; empty where none is.
        least: (quantizer, mean gain in points) at the lower end.
        most: (quantizer, mean gain in points) at the upper end.
        between: standard deviation of the quantizers' true mean gains, points.
        p: of the hypothesis that they do not differ, for further units; of several data sets: that they differ in none.
        p_here: the same for exactly these domains; NaN with one seed.
        p_every: of the conjunction "the gain holds under every one of these".
        answer: to "do they differ": ``yes``, ``not shown`` or ``not decidable``.
        n_domains: how many blocks: domains or data sets.
        n_seeds: how many replicates inside a block.
        keys: the records behind it.
    """

    without: str
    least: tuple[str, float]
    most: tuple[str, float]
    between: Between
    p: float
    p_here: float
    p_every: float
    answer: str
    n_domains: int
    n_seeds: int
    keys: tuple[str, ...]


def _answer(p: float, quantizers: int, units: int, alpha: float) -> str:
    if quantizers < 2 or smallest_p(units) > alpha:
        return "not decidable"
    return "yes" if p <= alpha else "not shown"


def _compared(
    kept: dict[str, Floats], units: Domains, rules: Rules, *, without: str, keys: tuple[str, ...]
) -> Heterogeneity:
    weights = units.weights[:, None]
    plain = np.stack([values.mean(axis=1) for values in kept.values()])
    blocks = weights * plain.T
    means = dict(zip(kept, map(float, blocks.mean(axis=0)), strict=True))
    least, most = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    n_domains, n_seeds = next(iter(kept.values())).shape
    several = len(kept) > 1
    p = joint_sign_flip(blocks) if several else NAN
    return Heterogeneity(
        without=without,
        least=(least, means[least]),
        most=(most, means[most]),
        between=spread_between(blocks, 1 - rules.alpha) if several and n_domains > 1 else NOT_KNOWN,
        p=p,
        p_here=_here(np.stack([weights * values for values in kept.values()]), units) if several else NAN,
        p_every=float(conjunction(units.p(plain, "greater"))),
        answer=_answer(p, len(kept), n_domains, rules.alpha),
        n_domains=n_domains,
        n_seeds=n_seeds,
        keys=keys,
    )


def _here(values: Floats, units: Domains) -> float:
    return NAN if isinstance(units, DataSets) else fixed_effects_f_test(values)


def compare_quantizers(
    rows: dict[str, Floats], keys: dict[str, tuple[str, ...]], units: Domains, rules: Rules
) -> list[Heterogeneity]:
    """Compare all complete quantizers together, then without each in turn; empty with fewer than two of them.

    Args:
        rows: gains by quantizer, shape (units, seeds), points; NaN where a cell is missing.
        keys: of the records behind them, by quantizer.
        units: the blocks.
        rules: alpha of test and interval.
    """
    whole = {name: values for name, values in rows.items() if np.isfinite(values).all()}
    if len(whole) < 2:
        return []
    out = []
    for without in ("", *whole):
        kept = {name: values for name, values in whole.items() if name != without}
        behind = tuple(key for name in kept for key in keys[name])
        out.append(_compared(kept, units, rules, without=without, keys=behind))
    return out
