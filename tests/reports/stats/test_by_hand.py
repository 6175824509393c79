"""Each function against values worked out by hand, scipy and, where installed, scikit-posthocs and statsmodels."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from pytest import approx
from scipy import stats

from quantdg.core.errors import ConfigError
from quantdg.reports.stats import bootstrap, power
from quantdg.reports.stats.effect import effect, t_interval
from quantdg.reports.stats.equivalence import tost
from quantdg.reports.stats.fixed import on_these_domains
from quantdg.reports.stats.multiple import conjunction, holm, partial_conjunction
from quantdg.reports.stats.ranking import friedman, rank, ranks, studentized_range
from quantdg.reports.stats.signflip import Alternative, sign_flip, smallest_p
from quantdg.reports.stats.treatments import fixed_effects_f_test, joint_sign_flip, spread_between

MEANS = np.array([1.0, 2.0, 3.0, -0.5])


def test_t_interval_is_scipys() -> None:
    mean, low, high = t_interval(MEANS)
    expected = stats.ttest_1samp(MEANS, 0).confidence_interval(0.95)
    assert (mean, low, high) == approx((1.375, expected.low, expected.high))


def test_t_interval_of_one_domain_has_no_ends() -> None:
    mean, low, high = t_interval(np.array([2.0]))
    assert mean == 2
    assert np.isnan([low, high]).all()


def test_effect() -> None:
    found = effect(np.array([[1.0, 3.0], [-2.0, 0.0]]), ["art", "sketch"])
    assert (found.mean, found.worst, found.worst_domain) == (0.5, -1.0, "sketch")
    assert found.share_positive == 2.5 / 4
    assert (found.n_domains, found.n_seeds) == (2, 2)


def test_sign_flip_by_hand() -> None:
    # Sums over all 16 flips of (1, 2, 3, -.5) that reach 5.5: 6.5 and 5.5, and their mirror images.
    assert sign_flip(MEANS) == 4 / 16
    assert sign_flip(MEANS, "greater") == 2 / 16
    assert sign_flip(-MEANS, "greater") == 15 / 16


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n", [3, 6, 10])
def test_sign_flip_is_scipys_permutation_test(n: int, alternative: Alternative) -> None:
    means = np.random.default_rng(n).normal(0.4, 1, n)
    found = stats.permutation_test(
        (means,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=alternative
    )
    assert sign_flip(means, alternative) == approx(found.pvalue)


def test_sign_flip_takes_batches() -> None:
    batch = np.random.default_rng(0).normal(size=(2, 3, 5))
    assert sign_flip(batch)[1, 2] == sign_flip(batch[1, 2])


def test_sampled_sign_flip_is_close_to_the_exact_one() -> None:
    means = np.random.default_rng(3).normal(0.45, 1, 17)
    exact = stats.permutation_test((means,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip(means) == approx(exact, abs=4 * sqrt(exact / 20_000))


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (4, 0.125), (5, 0.0625), (6, 0.03125), (8, 0.0078125)])
def test_smallest_p_is_reached_by_equal_signs(n: int, p: float) -> None:
    assert smallest_p(n) == p
    assert sign_flip(np.arange(1.0, n + 1)) == p
    assert sign_flip(np.arange(1.0, n + 1), "greater") == smallest_p(n, "greater") == 2.0**-n


@pytest.mark.parametrize("n", [15, 17, 18, 30, 60])
@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_smallest_p_of_sampled_flips_is_what_equal_signs_give(n: int, alternative: Alternative) -> None:
    least = smallest_p(n, alternative)
    assert sign_flip(np.linspace(1, 2, n), alternative) == least
    assert n < 18 or least == 1 / 20_000


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])) == approx([1.0, 1.0])


def test_holm_is_statsmodels() -> None:
    oracle = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(20) ** 2
    assert holm(p) == approx(oracle.multipletests(p, method="holm")[1])


def test_conjunctions_by_hand() -> None:
    p = np.array([0.01, 0.2, 0.02])
    assert conjunction(p) == 0.2
    assert partial_conjunction(p) == approx([0.03, 0.04, 0.2])
    assert partial_conjunction(np.array([0.03, 0.03, 0.031])) == approx([0.09, 0.09, 0.09])


def test_tost_agrees_with_two_t_tests() -> None:
    means = np.array([0.1, -0.2, 0.3, 0.0, 0.15])
    lower = stats.ttest_1samp(means, -0.5, alternative="greater").pvalue
    upper = stats.ttest_1samp(means, 0.5, alternative="less").pvalue
    assert tost(means, 0.5) == approx(max(lower, upper))


def test_tost_is_the_mass_beyond_the_margin_in_baycomps_posterior() -> None:
    # not among the packages of the tests: it installs a top-level package "tests", which hides this folder
    single = pytest.importorskip("baycomp.single")
    baseline, treated = np.random.default_rng(0).normal([[0.0], [0.2]], 0.4, (2, 6))
    mean, var, df = single.CorrelatedTTest.compute_statistics(baseline, treated)
    var *= (1 / 6) / (1 / 6 + 1 / 5)  # without its correction for folds of one data set
    left, _, right = single.Posterior(mean, var, df, rope=0.5).probs()
    assert tost(treated - baseline, 0.5) == approx(max(left, right))
    _, low, high = t_interval(treated - baseline, 0.9)
    assert single.Posterior(mean - low, var, df).probs()[0] == approx(0.05)
    assert single.Posterior(mean - high, var, df).probs()[1] == approx(0.05)


def test_tost_is_the_90_percent_interval_inside_the_margin() -> None:
    for seed in range(50):
        means = np.random.default_rng(seed).normal(0.2, 0.4, 6)
        _, low, high = t_interval(means, 0.90)
        assert (tost(means, 0.5) <= 0.05) == (low >= -0.5 and high <= 0.5)


def test_tost_wants_a_margin() -> None:
    with pytest.raises(ConfigError, match=r"margin must be above 0 points, got 0; write for example margin=0\.5"):
        tost(MEANS, 0)


def test_on_these_domains_by_hand() -> None:
    # Within variances 2 and 8, pooled 5; mean 2.5; t = 2.5 / sqrt(5 / 4) on 2 degrees of freedom.
    found = on_these_domains(np.array([[1.0, 3.0], [1.0, 5.0]]))
    assert found == approx(2 * stats.t.sf(2.5 / sqrt(1.25), 2))
    assert np.isnan(on_these_domains(np.ones((4, 1))))


def test_two_level_bootstrap_is_deterministic_near_t_and_absent_for_few_domains() -> None:
    gains = np.random.default_rng(0).normal(1, 1, (40, 3))
    low, high = bootstrap.two_level_interval(gains)
    assert (low, high) == bootstrap.two_level_interval(gains)
    _, t_low, t_high = t_interval(gains.mean(axis=1))
    assert (low, high) == approx((t_low, t_high), abs=0.1)
    assert np.isnan(bootstrap.two_level_interval(gains[:7])).all()


def test_spread_by_hand() -> None:
    found = power.spread(np.array([[1.0, 3.0], [5.0, 7.0]]))  # domain means 2 and 6: variance 8; within 2
    assert (found.seeds, found.domains) == approx((sqrt(2), sqrt(8 - 2 / 2)))
    assert power.spread(np.array([[1.0], [5.0]])) == power.Spread(approx(sqrt(8)), 0)
    assert found.of_mean(2) == approx(sqrt(8))


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n", [7, 9, 12])
def test_power_is_the_rate_at_which_the_test_rejects(n: int, alternative: Alternative) -> None:
    means = np.random.default_rng(99).normal(0.9, 1, (3000, n))
    rate = (sign_flip(means, alternative) <= 0.05).mean()
    assert power.power(0.9, n, 0.05, alternative) == approx(rate, abs=0.03)


def test_power_without_an_effect_is_the_level_in_both_tails() -> None:
    assert power.power(0.0, 20, 0.05) == approx(0.05)
    assert power.power(0.0, 20, 0.05, "greater") == approx(0.05)


def test_four_domains_have_no_power_whatever_the_effect() -> None:
    assert power.power(20.0, 4, 0.05) == 0
    assert power.power(20.0, 6, 0.05) == 1


def test_domains_needed() -> None:
    assert power.domains_needed(20, 1, 0.05) == 6  # the fewest that can reach .05 at all
    found = power.domains_needed(0.8, 1.1, 0.05)
    assert found is not None
    assert power.power(0.73, found, 0.05) >= 0.8 > power.power(0.73, found - 1, 0.05)
    assert power.domains_needed(0.01, 1, 0.05) is None


def test_ranking_by_hand() -> None:
    values = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [3.0, 2.0, 1.0], [2.0, 3.0, 1.0]])
    found = rank(values)
    assert found is not None
    assert found.ranks == approx([1.25, 2.0, 2.75])
    assert found.p == approx(stats.chi2.sf(4.5, 2))  # 12 * 4 / (3 * 4) * (.75^2 + .75^2)
    assert found.critical_difference == approx(2.343 * sqrt(3 * 4 / (6 * 4)), abs=2e-3)  # Demsar's table 5
    assert rank(values[:, :2]) is None


def test_ranks_and_friedman_with_ties_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 4, (9, 5)).astype(float)
    assert (ranks(values) == stats.rankdata(values, axis=1)).all()
    assert friedman(values) == approx(stats.friedmanchisquare(*values.T).pvalue)
    assert friedman(np.ones((4, 3))) == 1


@pytest.mark.parametrize("k", [3, 6, 20])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_studentized_range_is_scipys(k: int, level: float) -> None:
    assert studentized_range(level, k) == approx(stats.studentized_range.ppf(level, k, np.inf), rel=1e-6)


def test_differ_by_hand() -> None:
    assert joint_sign_flip(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [0.0, 1.0, 2.0]])) == 2 / 2**3  # all +, all -
    assert joint_sign_flip(np.array([[1.0, 1.0, 1.0], [7.0, 7.0, 7.0]])) == 1  # blocks differ, treatments do not


@pytest.mark.parametrize("domains", [3, 6, 9])
def test_differ_of_two_treatments_is_the_sign_flip_test(domains: int) -> None:
    values = np.random.default_rng(domains).normal(size=(domains, 2))
    assert joint_sign_flip(values) == approx(float(sign_flip(values[:, 0] - values[:, 1])))


def test_differ_here_of_two_treatments_is_the_t_test_of_their_difference() -> None:
    values = np.random.default_rng(0).normal(size=(2, 4, 3))
    assert fixed_effects_f_test(values) == approx(float(on_these_domains(values[0] - values[1])))
    assert np.isnan(fixed_effects_f_test(values[:, :, :1]))


def test_spread_between_treatments_without_residual_is_that_of_a_sample() -> None:
    treatments = np.array([0.0, 1.0, 2.0, 4.0])
    found = spread_between(np.array([[5.0], [-3.0], [0.0]]) + treatments)
    variance = treatments.var(ddof=1)
    assert found.sd == approx(sqrt(variance))
    low, high = (sqrt(3 * variance / stats.chi2.ppf(q, 3)) for q in (0.975, 0.025))
    assert (found.low, found.high) == approx((low, high))


def test_spread_between_treatments_that_only_noise_moves_is_nothing() -> None:
    found = spread_between(np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]))
    assert (found.sd, found.low, found.high) == (0, 0, 0)


def test_ranking_is_scikit_posthocs() -> None:
    oracle = pytest.importorskip("scikit_posthocs")
    values = np.random.default_rng(0).normal(size=(12, 5)) + np.array([0, 0, 0.8, 1.5, 0])
    found = rank(values)
    assert found is not None
    nemenyi = oracle.posthoc_nemenyi_friedman(values).to_numpy()
    apart = np.abs(found.ranks[:, None] - found.ranks) > found.critical_difference
    assert apart.any()
    assert (apart == (nemenyi < 0.05)).all()
