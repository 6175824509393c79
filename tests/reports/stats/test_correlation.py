"""Correlation over methods, within targets: by hand, against scipy, and a null that is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from quantdg.reports.stats.correlation import FEWEST, correlate


def test_correlations_within_targets_and_their_mean() -> None:
    x = np.array([[1.0, 2, 3, 4, 5], [10, 20, 30, 40, 50]])
    y = np.array([[1.0, 3, 2, 5, 9], [8, 6, 7, 1, 0]])
    found = correlate(x, y)
    assert found.pearson == pytest.approx(np.mean([pearsonr(a, b).statistic for a, b in zip(x, y, strict=True)]))
    assert found.spearman == pytest.approx(np.mean([spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]))
    assert found.spearman == pytest.approx((0.9 - 0.9) / 2)  # by hand: 1 - 6 d^2 / (n (n^2 - 1)), d^2 = 2 and 38
    assert (found.targets, found.methods) == (2, 5)


def test_a_hard_target_makes_no_correlation() -> None:
    """Sharp and with a large gap as a target, but within each target the other way round."""
    x = np.array([[0.0], [100.0]]) + np.arange(6.0)
    y = np.array([[0.0], [100.0]]) - np.arange(6.0)
    assert pearsonr(x.ravel(), y.ravel()).statistic > 0.9
    assert correlate(x, y).pearson == pytest.approx(-1)


def test_p_is_the_share_of_permutations() -> None:
    x = np.arange(4.0)[None]
    found = correlate(x, x, draws=20_000)
    exact = 2 / 24  # of the 24 orders of 4 values only two are as far from 0: |r| = 1
    assert found.spearman == pytest.approx(1)
    assert found.spearman_p == pytest.approx(exact, abs=0.01)
    assert correlate(x, x, draws=99).spearman_p >= 1 / 100


@pytest.mark.parametrize("cell_sd", [0.3, 2.0])
def test_p_is_right_where_methods_and_targets_have_effects_of_their_own(cell_sd: float) -> None:
    """Two measures that know nothing of each other; each method is the same in all targets, up to ``cell_sd``."""
    generator, repeats = np.random.default_rng(0), 1200
    rejected = np.zeros(2)
    for _ in range(repeats):
        target, method = generator.normal(0, 10, (4, 1)), generator.normal(size=(2, 1, 9))
        x, y = target + method + generator.normal(0, cell_sd, (2, 4, 9))
        found = correlate(x, y, draws=199)
        rejected += [found.spearman_p <= 0.05, found.pearson_p <= 0.05]
    assert ((rejected / repeats >= 0.03) & (rejected / repeats <= 0.06)).all(), rejected / repeats


def test_what_cannot_be_used_is_left_out() -> None:
    x = np.stack([np.arange(5.0), np.full(5, 0.1)])
    found = correlate(x, np.stack([np.arange(5.0)] * 2))
    assert (found.pearson, found.targets) == (pytest.approx(1), 1)
    for few in (x[1:], x[:, : FEWEST - 1], np.empty((0, 0))):
        nothing = correlate(few, few)
        assert np.isnan([nothing.spearman, nothing.pearson_p]).all()
        assert (nothing.targets, nothing.methods) == (0, 0)
