"""Does the gain depend on the quantizer, and does the conjunction hang on one of them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..stats.effect import Floats
from ..stats.multiple import conjunction
from ..stats.signflip import sign_flip, smallest_p
from ..stats.treatments import Between, fixed_effects_f_test, joint_sign_flip, spread_between
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
        p: of the hypothesis that they do not differ, for domains in general.
        p_here: the same for exactly these domains; NaN with one seed.
        p_every: of the conjunction "the gain holds under every one of these".
        answer: to "do they differ": ``yes``, ``not shown`` or ``not decidable``.
        n_domains: how many blocks.
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


def _answer(p: float, quantizers: int, domains: int, alpha: float) -> str:
    if quantizers < 2 or smallest_p(domains) > alpha:
        return "not decidable"
    return "yes" if p <= alpha else "not shown"


def _compared(kept: dict[str, Floats], without: str, keys: tuple[str, ...], rules: Rules) -> Heterogeneity:
    blocks = np.stack([values.mean(axis=1) for values in kept.values()], axis=1)
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
        p_here=fixed_effects_f_test(np.stack(list(kept.values()))) if several else NAN,
        p_every=float(conjunction(sign_flip(blocks.T, "greater"))),
        answer=_answer(p, len(kept), n_domains, rules.alpha),
        n_domains=n_domains,
        n_seeds=n_seeds,
        keys=keys,
    )


def compare_quantizers(rows: dict[str, Floats], keys: dict[str, tuple[str, ...]], rules: Rules) -> list[Heterogeneity]:
    """Compare all complete quantizers together, then without each in turn; empty with fewer than two of them.

    Args:
        rows: gains by quantizer, shape (domains, seeds), points; NaN where a cell is missing.
        keys: of the records behind them, by quantizer.
        rules: alpha of test and interval.
    """
    whole = {name: values for name, values in rows.items() if np.isfinite(values).all()}
    if len(whole) < 2:
        return []
    out = []
    for without in ("", *whole):
        kept = {name: values for name, values in whole.items() if name != without}
        behind = tuple(key for name in kept for key in keys[name])
        out.append(_compared(kept, without, behind, rules))
    return out
