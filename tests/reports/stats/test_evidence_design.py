r"""False-positive rates and power of the evidence's design, with the variances that its own records have.

Gains are drawn as g_kd = L_k' z with z normal, so that all quantizers and controls have the covariance, between domains of
data set k, that the records have (pooled over data sets where k is not among them): their variances, and what they share through
float's cells and the domains. A share of it is the seeds' and falls with their number. Data sets' own effects cancel, which the test
for further domains does not see. ``python tests/reports/stats/test_evidence_design.py docs/records/evidence docs/evidence.md`` writes
the tables of that page; without it they are printed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest import approx

from quantdg.bench.results.archive import run_folder
from quantdg.bench.results.record import HEADLINE
from quantdg.reports.frames.gains import over_float
from quantdg.reports.frames.results import load
from quantdg.reports.stats.multiple import conjunction, holm
from quantdg.reports.stats.units import DomainsOfDataSets
from quantdg.reports.text.section import rewrite

Floats = NDArray[np.float64]
Rate = tuple[float, float]
EVIDENCE = Path(__file__).parents[3] / "docs" / "records" / "evidence"
ALPHA, HUGE = 0.05, 1000.0
ALL = {"pacs": 4, "office_caltech": 4, "digits_real": 3}
NATURAL = {"pacs": 4, "office_caltech": 4}
ASSUMED_SHARE = 0.5
"""Of the variance of a gain with one seed, the seeds' part, where records have one seed and cannot tell."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the records say of how gains vary.

    Attributes:
        quantizers: their names.
        controls: their names, in columns after the quantizers'.
        spread: of each data set a matrix (values, rows), whose product with its transpose is the covariance of rows.
        pooled: the same over all data sets.
        share: of the variance with one seed, the seeds' part.
        seeds: how many the records have.
    """

    quantizers: list[str]
    controls: list[str]
    spread: dict[str, Floats]
    pooled: Floats
    share: float
    seeds: int


def spread_of(gains: Floats, strata: tuple[str, ...]) -> tuple[dict[str, Floats], Floats, float]:
    """Matrices of each data set and of all, for one seed, and the seeds' share; gains have shape (rows, domains, seeds)."""
    means, n_seeds = gains.mean(axis=-1).T, gains.shape[-1]
    members = {name: means[[s == name for s in strata]] for name in dict.fromkeys(strata)}
    apart = {name: own - own.mean(axis=0) for name, own in members.items() if len(own) > 1}
    freedom = sum(len(own) - 1 for own in apart.values())
    between = np.concatenate(list(apart.values()))
    share = ASSUMED_SHARE
    if n_seeds > 1:
        seeds = gains.var(axis=-1, ddof=1).mean(axis=1)
        domains = np.maximum((between**2).sum(axis=0) / freedom - seeds / n_seeds, 0)
        share = float(np.mean(seeds / (seeds + domains)))
    scale = 1 / np.sqrt(1 - share + share / n_seeds)
    own = {name: scale * values / np.sqrt(len(values) - 1) for name, values in apart.items()}
    return own, scale * between / np.sqrt(freedom), share


def measured(root: Path) -> Measured:
    """Read a run folder: the data sets side by side with the most domains, ERM, source validation, seeds and rows that are whole."""
    with run_folder(root) as folder:
        results = load(folder)
    named = {section[0]: cube for section, cube in results.cubes.items()}
    cubes = {**named, "": max(results.cubes_together.values(), key=lambda c: len(c.targets), default=None)}
    name, cube = max(((n, c) for n, c in cubes.items() if c is not None), key=lambda pair: len(pair[1].targets))
    whole = np.isfinite(cube.of_method(("erm", "float", "float", HEADLINE))).all(axis=0)
    gains = {m: g[:, whole] for m, g in over_float(cube, HEADLINE) if m[0] == "erm"}
    found = {m: g for m, g in gains.items() if np.isfinite(g).all()}
    methods = [m for m in found if results.roles.is_method(m[1])]
    controls = [m for m in found if not results.roles.is_method(m[1])]
    strata = cube.units.strata if isinstance(cube.units, DomainsOfDataSets) else (name,) * len(cube.targets)
    spread, pooled, share = spread_of(np.stack([found[m] for m in (*methods, *controls)]), strata)
    return Measured(
        quantizers=[f"{m[1]} {m[2]}" for m in methods], controls=[m[1] for m in controls], spread=spread, pooled=pooled,
        share=share, seeds=int(whole.sum()),
    )  # fmt: skip


def units_of(sizes: dict[str, int]) -> DomainsOfDataSets:
    strata = tuple(name for name, n in sizes.items() for _ in range(n))
    return DomainsOfDataSets(tuple(f"d{i}" for i in range(len(strata))), strata)


def draw(known: Measured, sizes: dict[str, int], seeds: int, repeats: int) -> Floats:
    """Means over seeds under the null hypothesis, shape (repeats, quantizers and controls, domains)."""
    random = np.random.default_rng([seeds, repeats, *sizes.values()])
    scale = np.sqrt(1 - known.share + known.share / seeds)
    parts = []
    for name, n in sizes.items():
        spread = known.spread.get(name, known.pooled)
        parts.append(scale * random.standard_normal((repeats, n, len(spread))) @ spread)
    return np.moveaxis(np.concatenate(parts, axis=1), 1, 2)


def rates(known: Measured, sizes: dict[str, int], seeds: int, repeats: int) -> dict[str, Rate]:
    """How often each claim of docs/evidence.md is made although it is false, with the Monte Carlo standard error."""
    units, k = units_of(sizes), len(known.quantizers)
    null = draw(known, sizes, seeds, repeats)
    gains, controls = null[:, :k], null[:, k:]
    two_sided, one_sided = units.p(gains, "two-sided"), units.p(gains, "greater")
    others = HUGE * (1 - np.eye(k))[:, :, None]
    one_null = np.stack([conjunction(units.p(gains + others[i], "greater")) for i in range(k)], axis=-1)
    beyond = units.p(gains[:, :, None] - controls[:, None], "greater").reshape(repeats, -1)
    return {
        "one quantizer's gain, two-sided, mean over quantizers": rate(two_sided),
        f"Holm over {k}, any false gain or loss": rate(holm(two_sided).min(axis=-1)),
        f"every one of {k}, one of them null, mean over which": rate(one_null),
        f"every one of {k}, all null": rate(conjunction(one_sided)),
        f"one of {k * controls.shape[1]} comparisons with a control, mean over them": rate(beyond),
        f"any of these {k * controls.shape[1]}, which are not corrected for one another": rate(beyond.min(axis=-1)),
    }


def power(known: Measured, sizes: dict[str, int], seeds: int, gain: float, repeats: int) -> Floats:
    """The chance of each quantizer to be found, two-sided with Holm, where all have this true gain."""
    p = units_of(sizes).p(draw(known, sizes, seeds, repeats)[:, : len(known.quantizers)] + gain, "two-sided")
    return np.asarray((holm(p) <= ALPHA).mean(axis=0))


def rate(p: Floats) -> Rate:
    """Share of p-values, shape (repeats, ...), at most alpha, and its standard error over repeats."""
    shares = (p <= ALPHA).reshape(len(p), -1).mean(axis=1)
    return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(p)))


@pytest.fixture(scope="module")
def known() -> Measured:
    return measured(EVIDENCE)


def check(found: dict[str, Rate]) -> None:
    """Tests hold their level; those that are not at their least favourable hypothesis reject less."""
    one, family, one_null, all_null, beyond, any_beyond = (value for value, _ in found.values())
    assert all(0.025 <= value <= 0.065 for value in (one, one_null, beyond)), found
    assert family <= 0.065, found
    assert all_null <= one_null, found
    assert any_beyond >= beyond, found


def test_claims_of_the_design_are_rarely_false(known: Measured) -> None:
    check(rates(known, ALL, 3, 1500))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [ALL, NATURAL], ids=["all", "natural"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_claims_of_the_design_are_rarely_false_long(known: Measured, sizes: dict[str, int], seeds: int) -> None:
    check(rates(known, sizes, seeds, 20_000))


def test_a_drawn_gain_varies_as_the_measured_ones() -> None:
    random = np.random.default_rng(0)
    mixing = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 2.0]])
    domains = np.concatenate([random.standard_normal((40, 2)) @ mixing, 3 * random.standard_normal((40, 2)) @ mixing])
    gains = (domains.T[..., None] + random.normal(0, 1, (3, 80, 4))).astype(np.float64)
    spread, pooled, share = spread_of(gains, ("a",) * 40 + ("b",) * 40)
    known = Measured(quantizers=["x", "y"], controls=["c"], spread=spread, pooled=pooled, share=share, seeds=4)
    four = draw(known, {"a": 4, "b": 3, "other": 2}, 4, 4000)
    for name, at in (("a", slice(0, 4)), ("b", slice(4, 7))):
        own = gains.mean(axis=-1)[:, :40] if name == "a" else gains.mean(axis=-1)[:, 40:]
        drawn = np.moveaxis(four[..., at], 1, 2).reshape(-1, 3)
        assert np.cov(drawn.T) == approx(np.cov(own), rel=0.1, abs=0.1)
    assert draw(known, {"a": 4}, 1, 4000).var() > draw(known, {"a": 4}, 4, 4000).var()
    assert share == approx(np.mean([1 / (1 + 5), 1 / (1 + 5), 1 / (1 + 20)]), abs=0.05)


def fraction(value: float, form: str) -> str:
    return f"{value:{form}}".removeprefix("0")


def report(root: Path, repeats: int = 20_000) -> str:
    """Write the tables of docs/evidence.md, Markdown."""
    known = measured(root)
    sds = np.sqrt((known.pooled**2).sum(axis=0))
    varies = ", ".join(f"{n} {s:.1f}" for n, s in zip((*known.quantizers, *known.controls), sds, strict=True))
    told = "measured" if known.seeds > 1 else "assumed, since one seed cannot tell"
    designs = [(sizes, seeds) for sizes in (ALL, NATURAL) for seeds in (1, 3)]
    head = [f"{' + '.join(map(str, sizes.values()))}, {seeds} seed{'s' * (seeds > 1)}" for sizes, seeds in designs]
    found = [rates(known, sizes, seeds, repeats) for sizes, seeds in designs]
    lines = [
        *wrap(
            f"Measured on {', '.join(known.spread)} with {known.seeds} seed{'s' * (known.seeds > 1)}: standard deviation of a gain between "
            f"domains, one seed, in points: {varies}. The seeds' share of its variance: {known.share:.2f} ({told}).",
            140,
            break_on_hyphens=False,
        ),
        f"\n| claim made though false | {' | '.join(head)} |\n|---|{'---|' * len(head)}",
    ]
    for text in found[0]:
        shown = [
            f"{fraction(value, '.3f')} ± {fraction(error, '.4f')}" for value, error in (one[text] for one in found)
        ]
        lines.append(f"| {text} | {' | '.join(shown)} |")
    lines.append(
        f"\n| power with Holm: median quantizer, least to most | {' | '.join(head)} |\n|---|{'---|' * len(head)}"
    )
    for gain in (0.5, 1.0, 2.0, 5.0):
        chances = [power(known, sizes, seeds, gain, repeats // 4) for sizes, seeds in designs]
        shown = [" ".join((f"{np.median(c):.2f},", f"{c.min():.2f} to {c.max():.2f}")) for c in chances]
        lines.append(f"| a true gain of {gain:g} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main(runs: str, into: str = "") -> None:
    """Print the tables, or write them between the markers of a page."""
    text = report(Path(runs))
    rewrite(Path(into), text, "calibration") if into else print(text)


if __name__ == "__main__":
    main(*sys.argv[1:3])
