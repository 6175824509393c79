"""Whether a measure of flatness goes with the out-of-domain gap, over the rows of a claim."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...bench.results.verdict_rules import Rules
from ..stats.correlation import FEWEST, NONE_FOUND, Correlation, correlate
from .differences import Differences
from .finding import Finding, Word
from .ground import Ground
from .statement import StatedClaim


def correlation(stated: StatedClaim, ground: Ground, found: Differences, rules: Rules) -> Finding:
    """Decide whether a measure goes with the gap over rows, which are what is permuted.

    Args:
        stated: with ``goes_with`` and a measure of flatness.
        ground: what the records hold.
        found: the measure of each row.
        rules: level of the test.
    """
    r, keys = _correlated(found, ground.measured(stated.metric, "gap"))
    if not r.methods:
        return Finding(word="incomplete", takes=f"It takes at least {FEWEST} complete rows.", several=len(found.rows))
    shown = r.spearman_p <= rules.alpha
    word: Word = "not shown" if not shown else "yes" if r.spearman * stated.sign > 0 else "no"
    return Finding(
        word=word, mean=r.spearman, p=r.spearman_p, n_domains=r.targets, n_seeds=len(found.cube.seeds), keys=keys,
        several=r.methods, takes="" if shown else "It takes further quantizers: rows are what is permuted.",
    )  # fmt: skip


def _correlated(found: Differences, gaps: pd.Series[float]) -> tuple[Correlation, tuple[str, ...]]:
    """The correlation over the complete rows, means over seeds, within each target; and the records behind it."""
    cube = found.cube
    whole = [name for name, values in found.rows.items() if np.isfinite(values).all()]
    if not whole:
        return NONE_FOUND, ()
    keys = np.stack([cube.keys[cube.methods.index(found.methods[name])] for name in whole])
    gap = np.vectorize(lambda key: float(gaps.get(key, np.nan)), otypes=[float])(keys)
    values = np.stack([found.rows[name] for name in whole])
    return correlate(values.mean(axis=-1).T, gap.mean(axis=-1).T), tuple(map(str, keys.ravel()))
