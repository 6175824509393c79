"""False-positive rates of every reported test at nominal 5 %, under domain and seed effects; and their power.

Gains are simulated as mean + domain effect (sd 1.0 point) + seed effect (sd 0.8), the project's measured scale.
A test that is not at its least favourable configuration rejects less; those rates are bounded from above only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from quantdg.reports.stats import ranking
from quantdg.reports.stats.bootstrap import two_level_interval
from quantdg.reports.stats.effect import t_interval
from quantdg.reports.stats.equivalence import tost
from quantdg.reports.stats.fixed import on_these_domains
from quantdg.reports.stats.multiple import conjunction, holm, partial_conjunction
from quantdg.reports.stats.power import power
from quantdg.reports.stats.signflip import sign_flip
from quantdg.reports.stats.treatments import fixed_effects_f_test, joint_sign_flip, spread_between

Floats = NDArray[np.float64]
DOMAIN_SD, SEED_SD = 1.0, 0.8
MEAN_SD = float(np.hypot(DOMAIN_SD, SEED_SD / np.sqrt(3)))


def simulate(repeats: int, domains: int, seeds: int = 3, tests: int = 1, mean: float = 0.0) -> Floats:
    """Gains of independent tests, shape (repeats, tests, domains, seeds)."""
    generator = np.random.default_rng([repeats, domains, seeds, tests])
    effects = generator.normal(mean, DOMAIN_SD, (repeats, tests, domains, 1))
    return effects + generator.normal(0, SEED_SD, (repeats, tests, domains, seeds))


def p_values(repeats: int, domains: int, tests: int, held: int = 0, one_sided: bool = True) -> Floats:
    """Sign-flip p-values, shape (repeats, tests); the first ``held`` tests have a huge true gain."""
    means = simulate(repeats, domains, tests=tests).mean(axis=-1)
    means[:, :held] += 20
    return sign_flip(means, "greater" if one_sided else "two-sided")


def per_quantizer(repeats: int, domains: int) -> Floats:
    return p_values(repeats, domains, 1, one_sided=False)[:, 0]


def directed(repeats: int, domains: int) -> Floats:
    return p_values(repeats, domains, 1)[:, 0]


def holm_over_four(repeats: int, domains: int) -> Floats:
    return np.asarray(holm(p_values(repeats, domains, 4, one_sided=False)).min(axis=1))


def conjunction_with_one_null(repeats: int, domains: int) -> Floats:
    return conjunction(p_values(repeats, domains, 4, held=3))


def partial_two_of_four_with_one_true(repeats: int, domains: int) -> Floats:
    return np.asarray(partial_conjunction(p_values(repeats, domains, 4, held=1))[:, 1])


def interaction(repeats: int, domains: int) -> Floats:
    gains = simulate(repeats, domains, tests=2)
    return sign_flip((gains[:, 0] - gains[:, 1]).mean(axis=-1))


def equivalence_at_the_margin(repeats: int, domains: int) -> Floats:
    return tost(simulate(repeats, domains, mean=1.2)[:, 0].mean(axis=-1), margin=1.2)


def fixed_domains(repeats: int, domains: int) -> Floats:
    effects = np.random.default_rng(0).normal(0, DOMAIN_SD, (domains, 1))
    noise = np.random.default_rng(repeats).normal(0, SEED_SD, (repeats, domains, 3))
    return on_these_domains(effects - effects.mean() + noise)


def quantizers_alike(repeats: int, domains: int) -> Floats:
    """Four quantizers on the same domains, none better; a common domain effect changes nothing."""
    gains = simulate(repeats, domains, tests=4) + simulate(repeats, domains)
    return np.array([joint_sign_flip(one.mean(axis=-1).T) for one in gains])


def quantizers_alike_but_one_more_variable(repeats: int, domains: int) -> Floats:
    gains = simulate(repeats, domains, tests=4) * np.array([3, 1, 1, 1])[:, None, None]
    return np.array([joint_sign_flip(one.mean(axis=-1).T) for one in gains])


def quantizers_alike_on_these_domains(repeats: int, domains: int) -> Floats:
    """Quantizers differ from domain to domain, and not on the mean of these; seeds share their float cell."""
    generator = np.random.default_rng(repeats)
    effects = generator.normal(0, DOMAIN_SD, (4, domains, 1))
    effects -= effects.mean(axis=1, keepdims=True)
    shared = generator.normal(0, SEED_SD, (repeats, 1, domains, 3))
    noise = generator.normal(0, SEED_SD, (repeats, 4, domains, 3))
    return np.array([fixed_effects_f_test(one) for one in effects + shared + noise])


def interval(repeats: int, domains: int) -> Floats:
    means = simulate(repeats, domains)[:, 0].mean(axis=-1)
    return np.array([float(low <= 0 <= high) for _, low, high in map(t_interval, means)])


REPORTED: list[Callable[[int, int], Floats]] = [
    per_quantizer,
    directed,
    holm_over_four,
    conjunction_with_one_null,
    partial_two_of_four_with_one_true,
    interaction,
    equivalence_at_the_margin,
    fixed_domains,
    quantizers_alike,
    quantizers_alike_but_one_more_variable,
    quantizers_alike_on_these_domains,
    interval,
]


@pytest.mark.parametrize("domains", [10, 12])
@pytest.mark.parametrize("test", REPORTED, ids=lambda test: test.__name__)
def test_false_positive_rate(test: Callable[[int, int], Floats], domains: int) -> None:
    assert 0.03 <= (test(2500, domains) <= 0.05).mean() <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("domains", [10, 12, 16])
@pytest.mark.parametrize("test", REPORTED, ids=lambda test: test.__name__)
def test_false_positive_rate_long(test: Callable[[int, int], Floats], domains: int) -> None:
    rates = [(test(1000 + i, domains) <= 0.05).mean() for i in range(40)]
    assert 0.03 <= np.mean(rates) <= 0.06


@pytest.mark.parametrize("methods", [3, 6])
def test_false_positive_rate_of_friedman_and_of_any_pair_beyond_the_critical_difference(
    methods: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of pairs, which takes long and is not looked at here
    monkeypatch.setattr(ranking, "sign_flip", lambda gains: np.ones(len(gains)))
    values = simulate(1500, 12, tests=methods).mean(axis=-1).transpose(0, 2, 1)
    found = [f for f in map(ranking.rank, values) if f is not None]
    assert len(found) == 1500
    assert 0.03 <= np.mean([f.p <= 0.05 for f in found]) <= 0.06
    assert 0.03 <= np.mean([np.ptp(f.ranks) > f.critical_difference for f in found]) <= 0.06


def test_false_positive_rate_of_the_two_level_bootstrap() -> None:
    gains = simulate(1500, 12)[:, 0]
    outside = [not low <= 0 <= high for low, high in (two_level_interval(g, draws=500) for g in gains)]
    assert 0.03 <= np.mean(outside) <= 0.06


def test_quantizers_that_share_their_float_cells_are_still_controlled() -> None:
    gains = simulate(3000, 12, tests=4) - simulate(3000, 12, tests=1)
    means = gains.mean(axis=-1)
    assert (holm(sign_flip(means)).min(axis=1) <= 0.05).mean() <= 0.06
    assert (conjunction(sign_flip(means, "greater")) <= 0.05).mean() <= 0.06
    assert (partial_conjunction(sign_flip(means, "greater"))[:, 0] <= 0.05).mean() <= 0.06


@pytest.mark.parametrize(("sd", "expected"), [(0.5, 0.33), (1.0, 0.72)])
def test_power_to_tell_quantizers_apart(sd: float, expected: float) -> None:
    means = simulate(1000, 8, tests=4).mean(axis=-1)
    true = np.random.default_rng(1).normal(0, sd, (1000, 4, 1))
    assert np.mean([joint_sign_flip(b.T) <= 0.05 for b in means + true]) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("sd", [0.0, 1.0])
def test_interval_of_the_spread_between_quantizers_covers_it(sd: float) -> None:
    means = simulate(2000, 8, tests=4).mean(axis=-1)
    true = np.random.default_rng(1).normal(0, sd, (2000, 4, 1))
    found = [spread_between(b.T) for b in means + true]
    assert 0.94 <= np.mean([f.low <= sd <= f.high for f in found]) <= 0.99


def test_pooling_domains_and_seeds_would_not_hold_the_level() -> None:
    gains = simulate(3000, 12)[:, 0].reshape(3000, -1)
    assert (stats.ttest_1samp(gains, 0, axis=1).pvalue <= 0.05).mean() > 0.12


@pytest.mark.parametrize(("domains", "expected"), [(8, 0.39), (16, 0.77)])
def test_power_of_the_main_test_is_what_the_report_says(domains: int, expected: float) -> None:
    means = simulate(2000, domains, mean=0.8)[:, 0].mean(axis=-1)
    found = (sign_flip(means) <= 0.05).mean()
    assert found == pytest.approx(power(round(0.8 / MEAN_SD, 2), domains, 0.05), abs=0.06)
    assert found == pytest.approx(expected, abs=0.05)
