r"""False-positive rates and power of the verdict on several data sets, under data-set, domain and seed effects.

Gains are simulated as mean + data-set effect (sd 1.0 point) + domain effect (1.0) + seed effect (0.8), three seeds. A claim about
further domains of these data sets has a true null hypothesis where the data sets' effects cancel; one about further data
sets where they are drawn anew. ``python tests/reports/stats/test_data_sets.py`` prints the tables of docs/statistics.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest import approx
from scipy import stats

from quantdg.reports.stats.multiple import conjunction, holm
from quantdg.reports.stats.signflip import sign_flip
from quantdg.reports.stats.strata import components, stratified_mean, units_needed
from quantdg.reports.stats.treatments import fixed_effects_f_test, joint_sign_flip
from quantdg.reports.stats.units import DataSets, Domains, DomainsOfDataSets

Floats = NDArray[np.float64]
Rate = Callable[[int, tuple[int, ...], float], float]
SET_SD, DOMAIN_SD, SEED_SD, SEEDS = 1.0, 1.0, 0.8, 3
HUGE = 20.0


def units_of(sizes: tuple[int, ...]) -> DomainsOfDataSets:
    """Target domains of data sets with these numbers of them."""
    strata = tuple(f"s{k}" for k, n in enumerate(sizes) for _ in range(n))
    return DomainsOfDataSets(tuple(f"d{i}" for i in range(len(strata))), strata)


def simulate(
    repeats: int, sizes: tuple[int, ...], first_sd: float, *, tests: int = 1, mean: float = 0.0, new: bool = False
) -> Floats:
    """Gains, shape (repeats, tests, domains, seeds); domains of the first data set vary by ``first_sd``.

    Data sets' effects cancel, or with ``new`` are those of further data sets.
    """
    draw = np.random.default_rng([repeats, *sizes, tests, new])
    effects = draw.normal(0, SET_SD, (repeats, tests, len(sizes)))
    if not new:
        effects -= effects.mean(axis=-1, keepdims=True)
    sd = np.repeat([first_sd, *[DOMAIN_SD] * (len(sizes) - 1)], sizes)
    true = mean + np.repeat(effects, sizes, axis=-1) + sd * draw.standard_normal((repeats, tests, sum(sizes)))
    return np.asarray(true[..., None] + draw.normal(0, SEED_SD, (*true.shape, SEEDS)))


def simulated_p(repeats: int, sizes: tuple[int, ...], first_sd: float, tests: int, held: int, sided: str) -> Floats:
    """P-values about further domains, shape (repeats, tests); the first ``held`` tests have a huge true gain."""
    means = simulate(repeats, sizes, first_sd, tests=tests).mean(axis=-1)
    means[:, :held] += HUGE
    return units_of(sizes).p(means, sided)


def rate(p: Floats) -> float:
    return float((p <= 0.05).mean())


def two_sided(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    return rate(simulated_p(repeats, sizes, first_sd, 1, 0, "two-sided"))


def one_sided(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    return rate(simulated_p(repeats, sizes, first_sd, 1, 0, "greater"))


def holm_over_four(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    return rate(holm(simulated_p(repeats, sizes, first_sd, 4, 0, "two-sided")).min(axis=1))


def conjunction_of_four_with_one_null(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    return rate(conjunction(simulated_p(repeats, sizes, first_sd, 4, 3, "greater")))


def interaction(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    gains = simulate(repeats, sizes, first_sd, tests=2).mean(axis=-1)
    return rate(units_of(sizes).p(gains[:, 0] - gains[:, 1], "two-sided"))


def equivalence_at_the_margin(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    means = simulate(repeats, sizes, first_sd, mean=3.0)[:, 0].mean(axis=-1)
    return rate(stratified_mean(means, units_of(sizes).strata).p_equivalent(3.0))


def quantizers_alike(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    """Four quantizers with the same true gain in every data set, whatever it is there."""
    units = units_of(sizes)
    common = simulate(min(repeats, 3000), sizes, first_sd)
    own = common.mean(axis=-1) + np.random.default_rng(1).normal(0, DOMAIN_SD, (len(common), 4, sum(sizes)))
    return rate(np.array([joint_sign_flip((units.weights * one).T) for one in own]))


def on_these_domains(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    """Domains as they are, their mean over data sets 0; only seeds vary."""
    units = units_of(sizes)
    true = simulate(1, sizes, first_sd)[0, 0].mean(axis=-1)
    true -= (units.weights * true).mean()
    noise = np.random.default_rng(repeats).normal(0, SEED_SD, (min(repeats, 4000), sum(sizes), SEEDS))
    return rate(np.array([units.p_here(true[:, None] + one) for one in noise]))


def quantizers_alike_on_these_domains(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    """Four quantizers that differ from domain to domain, not in the mean over these data sets."""
    units, draw = units_of(sizes), np.random.default_rng(repeats)
    true = simulate(1, sizes, first_sd, tests=4)[0].mean(axis=-1)
    true -= (units.weights * true).mean(axis=-1, keepdims=True)
    noise = draw.normal(0, SEED_SD, (min(repeats, 4000), 4, sum(sizes), SEEDS))
    return rate(np.array([fixed_effects_f_test(units.weights[:, None] * (true[..., None] + one)) for one in noise]))


def sign_flip_of_domains(repeats: int, sizes: tuple[int, ...], first_sd: float) -> float:
    """What is not used: it does not know of data sets."""
    return rate(sign_flip(simulate(repeats, sizes, first_sd)[:, 0].mean(axis=-1)))


FURTHER_DOMAINS: list[Rate] = [
    two_sided,
    one_sided,
    holm_over_four,
    conjunction_of_four_with_one_null,
    interaction,
    equivalence_at_the_margin,
    quantizers_alike,
    on_these_domains,
    quantizers_alike_on_these_domains,
]
DESIGNS = [((4, 4), 1.0), ((4, 4, 3), 1.0), ((5, 4, 4), 1.0), ((5, 4, 4), 3.0), ((4, 4, 4, 4, 6), 1.0)]


def means_of_sets(repeats: int, count: int, tests: int = 1, mean: float = 0.0) -> Floats:
    """Means of further data sets with four domains each, shape (repeats, tests, data sets)."""
    gains = simulate(repeats, (4,) * count, DOMAIN_SD, tests=tests, mean=mean, new=True)
    return np.asarray(gains.mean(axis=-1).reshape(repeats, tests, count, 4).mean(axis=-1))


def p_of_sets(repeats: int, count: int, sided: str, tests: int = 1, held: int = 0, mean: float = 0.0) -> Floats:
    means = means_of_sets(repeats, count, tests, mean)
    means[:, :held] += HUGE
    return DataSets(tuple(map(str, range(count)))).p(means, sided)


def sets_two_sided(repeats: int, count: int) -> float:
    return rate(p_of_sets(repeats, count, "two-sided"))


def sets_one_sided(repeats: int, count: int) -> float:
    return rate(p_of_sets(repeats, count, "greater"))


def sets_holm_over_four(repeats: int, count: int) -> float:
    return rate(holm(p_of_sets(repeats, count, "two-sided", tests=4)).min(axis=1))


def sets_conjunction(repeats: int, count: int) -> float:
    return rate(conjunction(p_of_sets(repeats, count, "greater", tests=4, held=3)))


def domains_taken_for_sets(repeats: int, count: int) -> float:
    """What is not used: the answer for further domains, read as one for further data sets."""
    gains = simulate(repeats, (4,) * count, DOMAIN_SD, new=True)[:, 0].mean(axis=-1)
    return rate(units_of((4,) * count).p(gains, "two-sided"))


def mixed_model(repeats: int, count: int) -> float:
    """What is not used: a linear mixed model with random data sets (REML), Wald test of its intercept."""
    linear = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    gains = simulate(repeats, (4,) * count, DOMAIN_SD, new=True)[:, 0].mean(axis=-1)
    groups = np.repeat(np.arange(count), 4)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in gains:
            found.append(float(linear.MixedLM(one, np.ones((len(one), 1)), groups).fit().pvalues[0]))
    return rate(np.array(found))


FURTHER_SETS = [sets_two_sided, sets_one_sided, sets_holm_over_four, sets_conjunction]


def name(test: Callable[..., float]) -> str:
    return test.__name__.removeprefix("sets_").replace("_", " ")


@pytest.mark.parametrize("test", FURTHER_DOMAINS, ids=name)
def test_false_positive_rate_for_further_domains(test: Rate) -> None:
    assert 0.03 <= test(1500, (5, 4, 4), 1.0) <= 0.065


@pytest.mark.parametrize("test", FURTHER_SETS, ids=name)
def test_false_positive_rate_for_further_data_sets(test: Callable[[int, int], float]) -> None:
    assert 0.03 <= test(2000, 8) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("test", FURTHER_DOMAINS, ids=name)
def test_false_positive_rate_for_further_domains_long(test: Rate, design: tuple[tuple[int, ...], float]) -> None:
    assert 0.03 <= test(15_000, *design) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 10, 12])
@pytest.mark.parametrize("test", FURTHER_SETS, ids=name)
def test_false_positive_rate_for_further_data_sets_long(test: Callable[[int, int], float], count: int) -> None:
    assert 0.03 <= test(15_000, count) <= 0.06


def test_neither_answer_may_be_read_for_the_other() -> None:
    assert domains_taken_for_sets(1000, 3) > 0.2
    assert sign_flip_of_domains(1000, (5, 4, 4), 1.0) < 0.03


@pytest.mark.parametrize(("sets", "expected"), [(5, 0.0), (8, 0.33), (12, 0.57)])
def test_power_for_further_data_sets(sets: int, expected: float) -> None:
    assert rate(p_of_sets(1500, sets, "two-sided", mean=0.8)) == approx(expected, abs=0.05)


def test_power_for_further_domains() -> None:
    means = simulate(1500, (5, 4, 4), 1.0, mean=0.8)[:, 0].mean(axis=-1)
    assert rate(units_of((5, 4, 4)).p(means, "two-sided")) == approx(0.6, abs=0.05)


def test_two_data_sets_give_the_welch_test_of_scipy() -> None:
    values = np.random.default_rng(0).normal(1, 2, 9)
    expected = stats.ttest_ind(values[:4], -values[4:], equal_var=False)
    found = stratified_mean(values, ("a",) * 4 + ("b",) * 5)
    assert (float(found.p("two-sided")), float(found.freedom)) == approx((expected.pvalue, expected.df))
    assert float(found.p("greater")) == approx(
        expected.pvalue / 2 if expected.statistic > 0 else 1 - expected.pvalue / 2
    )
    interval = expected.confidence_interval(0.9)
    assert 2 * float(found.half_width(0.9)) == approx((interval.high - interval.low) / 2)


def test_by_hand() -> None:
    # Means 2 and 6, variances 2 (of two) and 3 (of three): T 4, se^2 (1 + 1) / 4, df 2^2 / (1/1 + 1/2).
    found = stratified_mean(np.array([1.0, 3.0, 4.0, 7.0, 7.0]), ("a", "a", "b", "b", "b"))
    assert (float(found.mean), float(found.error), float(found.freedom)) == approx((4, np.sqrt(0.5), 8 / 3))


def test_constant_data_sets_differ_from_zero_and_nothing_is_divided_by_zero() -> None:
    found = stratified_mean(np.array([[2.0, 2.0, 4.0, 4.0], [0.0, 0.0, 0.0, 0.0]]), ("a", "a", "b", "b"))
    assert found.p("two-sided").tolist() == approx([0, 1], abs=1e-9)


def test_weights_make_data_sets_count_alike() -> None:
    units = units_of((4, 2))
    assert units.weights.tolist() == approx([0.75] * 4 + [1.5] * 2)
    assert (units.weights * np.array([1.0, 1, 1, 1, 5, 5])).mean() == approx(3)


def test_on_these_domains_is_scheffes_contrast_of_data_sets_that_count_alike() -> None:
    units, draw = units_of((4, 2)), np.random.default_rng(3)
    gains = draw.normal(0.5, 1, (6, 3))
    error = np.sqrt(gains.var(axis=1, ddof=1).mean() / 3 * (1 / 4 + 1 / 2) / 4)
    mean = (gains[:4].mean() + gains[4:].mean()) / 2
    assert units.p_here(gains) == approx(2 * stats.t.sf(abs(mean) / error, 12))


def test_one_domain_of_a_data_set_says_nothing_about_further_ones() -> None:
    units = DomainsOfDataSets(("a", "b", "c"), ("s", "s", "t"))
    assert units.smallest_p("greater") == 1
    assert "not known of t, with one target domain" in units.too_few(0.05)
    assert np.isnan(units.interval(np.ones(3), 0.95)[1:]).all()
    assert np.isnan(units.p(np.ones(3), "two-sided"))


def test_variance_components() -> None:
    draw = np.random.default_rng(0)
    sizes = (4, 6) * 200
    units = units_of(sizes)
    sets = np.repeat(draw.normal(0, 2, len(sizes)), sizes)
    gains = (sets + draw.normal(0, 1, sum(sizes)))[:, None] + draw.normal(0, 0.5, (sum(sizes), 3))
    found = components(gains, units.strata)
    assert (found.strata, found.domains, found.seeds) == approx((2, 1, 0.5), rel=0.1)
    assert components(np.ones((4, 2)), ("a", "a", "b", "b")).strata == 0


def test_domains_needed_have_the_power_that_is_promised() -> None:
    draw = np.random.default_rng(5)
    means = draw.normal(0.5, 1, 13)
    strata = units_of((5, 4, 4)).strata
    needed = units_needed(means, strata, 0.05, "two-sided")
    assert needed is not None
    each, found = needed // 3, stratified_mean(means, strata)
    sds = [np.std(means[np.array(strata) == s], ddof=1) for s in ("s0", "s1", "s2")]
    again = float(found.mean) + np.repeat(sds, each) * draw.standard_normal((4000, needed))
    power = rate(units_of((each,) * 3).p(again, "two-sided"))
    assert 0.77 <= power <= 0.9
    assert units_needed(means - found.mean, strata, 0.05, "two-sided") is None


def test_one_data_set_is_judged_as_ever() -> None:
    means = np.array([1.0, 2.0, 3.0, -0.5])
    assert Domains(("a", "b", "c", "d")).p(means, "two-sided") == 4 / 16
    assert DataSets(("a", "b", "c")).too_few(0.05) == "with 3 data sets no result can have a p below 0.125; it takes 5"


def test_a_level_below_every_p_says_that_no_number_of_domains_is_enough() -> None:
    units = Domains(("a", "b"))
    assert (units.fewest(0.05), units.fewest(1e-5)) == (5, None)
    assert units.too_few(1e-5).endswith("no result can have a p below 0.25; at level 1e-05 no number of them is enough")


def main(repeats: int = 15_000) -> None:
    """Print the tables of docs/statistics.md, Markdown."""

    def table(columns: list[str], lines: list[tuple[str, list[float]]]) -> None:
        print("| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
        for text, values in lines:
            print(f"| {text} | " + " | ".join(f"{v:.3f}".replace("0.", ".", 1) for v in values) + " |")
        print()

    columns = [f"{' + '.join(map(str, sizes))}{'' if sd == 1 else ', the first varies x 3'}" for sizes, sd in DESIGNS]
    domains = [*FURTHER_DOMAINS, sign_flip_of_domains]
    table(columns, [(name(test), [test(repeats, *design) for design in DESIGNS]) for test in domains])
    counts = [3, 5, 6, 8, 10, 12]
    sets = [*FURTHER_SETS, domains_taken_for_sets]
    lines = [(name(test), [test(repeats, count) for count in counts]) for test in sets]
    lines.append(("mixed model (1,000 repeats)", [mixed_model(1000, count) for count in counts]))
    table([f"{count} data sets" for count in counts], lines)
    for sided in ("two-sided", "greater"):
        found = []
        for sizes, sd in DESIGNS:
            means = simulate(repeats, sizes, sd, mean=0.8)[:, 0].mean(axis=-1)
            found.append(rate(units_of(sizes).p(means, sided)))
        table(columns, [(f"power for further domains, {sided}", found)])
        found = [rate(p_of_sets(repeats, count, sided, mean=0.8)) for count in counts]
        table([f"{count} data sets" for count in counts], [(f"power for further data sets, {sided}", found)])


if __name__ == "__main__":
    main()
