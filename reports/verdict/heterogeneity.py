"""Does the gain depend on the quantizer, and does the conjunction hang on one of them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..frames.cube import Floats
from ..stats.heterogeneity import Between, between, differ, differ_here
from ..stats.multiple import conjunction
from ..stats.signflip import sign_flip, smallest_p
from .claims import NAN


@dataclass(frozen=True)
class Differ:
    """How much the gains of several quantizers differ, all of them or all but one.

    Attributes:
        without: the quantizer left out; empty where none is.
        least, most: (quantizer, mean gain in points) at both ends.
        between: standard deviation of the quantizers' true mean gains, points.
        p: of the hypothesis that they do not differ, for domains in general.
        here: the same for exactly these domains; NaN with one seed.
        p_every: of the conjunction "the gain holds under every one of these".
        answer: to "do they differ": ``yes``, ``not shown`` or ``not decidable``.
        n_domains, n_seeds: blocks, and replicates inside them.
        keys: the records behind it.
    """

    without: str
    least: tuple[str, float]
    most: tuple[str, float]
    between: Between
    p: float
    here: float
    p_every: float
    answer: str
    n_domains: int
    n_seeds: int
    keys: tuple[str, ...]


def _differ(kept: dict[str, Floats], without: str, keys: tuple[str, ...], rules: Rules) -> Differ:
    blocks = np.stack([values.mean(axis=1) for values in kept.values()], axis=1)
    means = dict(zip(kept, map(float, blocks.mean(axis=0)), strict=True))
    least, most = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    every = float(conjunction(sign_flip(blocks.T, "greater")))
    n_domains, n_seeds = next(iter(kept.values())).shape
    p, here, found, answer = NAN, NAN, Between(NAN, NAN, NAN), "not decidable"
    if len(kept) > 1:
        p, here = differ(blocks), differ_here(np.stack(list(kept.values())))
    if len(kept) > 1 and n_domains > 1:
        found = between(blocks, 1 - rules.alpha)
    if smallest_p(n_domains) <= rules.alpha and len(kept) > 1:
        answer = "yes" if p <= rules.alpha else "not shown"
    return Differ(
        without, (least, means[least]), (most, means[most]), found, p, here, every, answer, n_domains, n_seeds, keys
    )


def heterogeneity(rows: dict[str, Floats], keys: dict[str, tuple[str, ...]], rules: Rules) -> list[Differ]:
    """All complete quantizers together, then each left out in turn; empty with fewer than two of them.

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
        out.append(_differ(kept, without, behind, rules))
    return out
