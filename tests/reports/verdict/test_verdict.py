"""The verdict on designs whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import ConfigError
from quantdg.reports.frames.cube import Cube
from quantdg.reports.report import Report
from quantdg.reports.verdict.contrasts import control_of
from quantdg.reports.verdict.judge import AlgorithmVerdict, judge_folder
from quantdg.reports.verdict.sentences import sentences_on_controls, verdict_sentences

Make = Callable[..., Record]
Fill = Callable[..., None]
CONTROLS = {"freeze": 0.0, "round_freeze": 0.0, "uniform_noise": 0.0}


@pytest.fixture
def fill(store: RunStore, make: Make) -> Fill:
    """Write cells with a true gain in points by quantizer, domain and seed noise of .2 points each."""

    def write(
        true: dict[str, float],
        domains: int = 8,
        seeds: int = 3,
        algorithm: str = "erm",
        averaged: float = 0.0,
        **labels: str,
    ) -> None:
        generator = np.random.default_rng(0)
        for quantizer, gain in {"float": 0.0, **true}.items():
            for d in range(domains):
                effect = generator.normal(0, 0.2)
                for seed in range(seeds):
                    value = (70 + d + gain + effect + generator.normal(0, 0.2)) / 100
                    swad = value + (averaged if quantizer != "float" else 0) / 100
                    rows = {"iid": value, "swad": swad}
                    bits = "float" if quantizer == "freeze" else None
                    extra = {"bits": bits} if bits else {}
                    store.write(make(f"d{d}", seed, algorithm, quantizer, rows, **extra, **labels))

    return write


def _judged(store: RunStore, algorithm: str = "erm") -> AlgorithmVerdict:
    (scope,) = judge_folder(store.root).scopes
    return next(j for j in scope.algorithms if j.algorithm == algorithm)


def test_a_gain_under_every_quantizer_is_found(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, "pact": 1.5, **CONTROLS})
    judged = _judged(store)
    assert {c.name: c.answer for c in judged.quantizers} == {"lsq W7": "gain", "pact W7": "gain"}
    assert judged.conjunction.answer == "yes"
    assert judged.conjunction.at_least == 2
    assert judged.conjunction.p_every == 2**-8
    assert judged.quantizers[0].effect is not None
    assert judged.quantizers[0].effect.mean == pytest.approx(2, abs=0.3)


def test_one_quantizer_without_a_gain_breaks_the_conjunction_but_not_the_partial_one(
    store: RunStore, fill: Fill
) -> None:
    fill({"lsq": 2.0, "pact": 1.5, "dorefa": -1.0})
    judged = _judged(store)
    assert judged.conjunction.answer == "not shown"
    assert judged.conjunction.at_least == 2
    assert {c.name: c.answer for c in judged.quantizers}["dorefa W7"] == "loss"


def test_whether_the_gain_depends_on_the_quantizer(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, "pact": 1.5, "dorefa": -1.0})
    judged = _judged(store)
    together, *left_out = judged.heterogeneity
    assert together.answer == "yes"
    assert (together.least[0], together.most[0]) == ("dorefa W7", "lsq W7")
    assert together.between.sd == pytest.approx(np.std([2, 1.5, -1], ddof=1), abs=0.3)
    assert together.between.low < together.between.sd < together.between.high
    assert len(together.keys) == 4 * 8 * 3 + 2 * 8 * 3  # three quantizers, each with its float partners
    every = {d.without: d.p_every for d in left_out}
    assert every["dorefa W7"] == 2**-8
    assert min(every["lsq W7"], every["pact W7"]) > 0.5
    ((_, sentences),) = verdict_sentences(judge_folder(store.root))
    said = " ".join(sentences)
    assert "hang on one of them? Yes: the gain holds under all others without dorefa W7 (p = 0.00391)." in said


def test_quantizers_alike_are_not_told_apart(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 1.0, "pact": 1.0})
    assert _judged(store).heterogeneity[0].answer == "not shown"


def test_two_domains_cannot_tell_two_quantizers_apart_and_one_quantizer_is_no_question(
    store: RunStore, fill: Fill
) -> None:
    fill({"lsq": 9.0, "pact": 1.0}, domains=2)
    assert {d.answer for d in _judged(store).heterogeneity} == {"not decidable"}
    fill({"lsq": 9.0}, domains=2, algorithm="coral")
    assert _judged(store, "coral").heterogeneity == []


def test_beating_the_controls_is_no_gain_of_quantization_where_float_is_as_good(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 0.0, **dict.fromkeys(CONTROLS, -9.0)})
    judged = _judged(store)
    assert {c.claim.answer for c in judged.controls} == {"yes"}
    assert "lsq W7: not shown, nor is a gain over float." in " ".join(sentences_on_controls(judged))


def test_four_domains_are_not_decidable_and_say_how_many_would_be(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0}, domains=4)
    (claim,) = _judged(store).quantizers
    assert claim.answer == "not decidable"
    assert claim.p == 0.125
    assert claim.needed == 6
    assert claim.p_here < 0.001
    ((_, sentences),) = verdict_sentences(judge_folder(store.root))
    assert (
        "Not decidable: with 4 target domains no result can have a p below 0.0625; it takes 5. The only mean gain"
        in sentences[0]
    )
    assert sentences[1].startswith("For these domains alone (4 domains x 3 seeds;")
    assert sentences[1].endswith("a gain: lsq W7.")


def test_holm_may_make_a_large_family_undecidable(store: RunStore, fill: Fill) -> None:
    fill({f"q{i}": 2.0 for i in range(8)}, domains=8)
    claims = _judged(store).quantizers
    assert {c.answer for c in claims} == {"not decidable"}  # 8 tests x 2**-7 is .0625
    assert {c.adjusted for c in claims} == {8 * 2**-7}


def test_a_gain_that_a_control_gives_too_is_not_quantizations(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, **CONTROLS, "uniform_noise": 2.0})
    judged = _judged(store)
    answers = {c.claim.name: c.claim.answer for c in judged.controls}
    assert answers == {
        "lsq W7 > freeze": "yes",
        "lsq W7 > round_freeze W7": "yes",
        "lsq W7 > uniform_noise W7": "not shown",
    }
    assert "lsq W7: not shown" in " ".join(sentences_on_controls(judged))


def test_a_gain_over_all_controls_is(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, **CONTROLS})
    assert "lsq W7: yes" in " ".join(sentences_on_controls(_judged(store)))


def test_controls_that_were_not_run_are_named(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, "freeze": 0.0})
    words = " ".join(sentences_on_controls(_judged(store)))
    assert "lsq W7: not shown" in words
    assert "not run: rounding once and freezing, noise of the same size" in words


@pytest.mark.parametrize(
    ("bits", "expected"), [("W7", "W7"), ("W7A8", "W7"), ("W4", "W4"), ("W4A8", "W4"), ("W3", None), ("float", None)]
)
def test_a_control_is_taken_at_the_same_weight_bits(bits: str, expected: str | None) -> None:
    methods = (("erm", "round_freeze", "W7", "iid"), ("erm", "round_freeze", "W4", "iid"), ("erm", "lsq", bits, "iid"))
    empty = np.zeros((3, 1, 1))
    found = control_of(Cube(methods, ("d",), (0,), empty, empty, empty), methods[2], "round_freeze")
    assert (found and found[2]) == expected


def test_quantizer_times_averaging(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0}, averaged=-1.5)
    (square,) = _judged(store).interactions
    plain, quantized, averaged, both = square.accuracy
    assert (quantized - plain, both - averaged) == pytest.approx((2, 0.5), abs=0.3)
    assert square.claim.effect is not None
    assert square.claim.effect.mean == pytest.approx(-1.5)
    assert square.claim.answer == "loss"


@pytest.mark.parametrize(("coral_gain", "answer"), [(2.0, "equivalent"), (5.0, "changes")])
def test_the_gain_of_a_dg_method_under_a_quantizer(store: RunStore, fill: Fill, coral_gain: float, answer: str) -> None:
    fill({"lsq": 2.0})
    fill({"lsq": coral_gain}, algorithm="coral")
    (change,) = _judged(store, "coral").differences
    assert change.answer == answer
    assert change.claim.effect is not None
    assert change.claim.effect.mean == pytest.approx(coral_gain - 2, abs=0.3)
    assert _judged(store, "erm").differences == []


def test_an_incomplete_quantizer_is_named_and_not_judged(store: RunStore, make: Make, fill: Fill) -> None:
    fill({"lsq": 2.0, "pact": 2.0})
    store.write(make("d3", 1, quantizer="pact", status="failed", reason="diverged", rows={}))
    judged = _judged(store)
    assert judged.conjunction.names == ("lsq W7",)
    assert judged.conjunction.incomplete == ("pact W7",)
    claims = {c.name: c for c in judged.quantizers}
    assert claims["pact W7"].answer == "incomplete"
    mean, there, wanted = claims["pact W7"].so_far
    assert (there, wanted) == (23, 24)
    assert mean == pytest.approx(2, abs=0.3)
    ((_, sentences),) = verdict_sentences(judge_folder(store.root))
    said = [s for s in sentences if s.startswith("pact W7: incomplete, not judged; so far +")]
    assert len(said) == 1
    assert said[0].endswith("points over 23 of 24 pairs.")
    assert claims["lsq W7"].adjusted == claims["lsq W7"].p


def test_one_seed_still_speaks_about_domains_but_not_about_these(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0}, seeds=1)
    (claim,) = _judged(store).quantizers
    assert claim.answer == "gain"
    assert np.isnan(claim.p_here)
    ((heading, sentences),) = verdict_sentences(judge_folder(store.root))
    assert "8 domains x 1 seed," in heading
    assert sentences[1] == "One seed: nothing can be said about these domains alone."


def test_data_sets_of_one_protocol_are_judged_alone_and_together(store: RunStore, fill: Fill) -> None:
    for dataset in ("pacs", "vlcs"):
        fill({"lsq": 2.0}, domains=4, dataset=dataset)
    scopes = {s.name: s for s in judge_folder(store.root).scopes}
    together, beside, *alone = scopes
    assert together == "further domains of pacs + vlcs, cnn, small"
    assert beside == "further data sets beside pacs + vlcs, cnn, small"
    assert alone == ["pacs, cnn, small", "vlcs, cnn, small"]
    assert len(scopes[together].domains) == 8
    assert scopes[beside].domains == ("pacs", "vlcs")
    assert scopes[together].algorithms[0].quantizers[0].answer == "gain"
    assert scopes[beside].algorithms[0].quantizers[0].answer == "not decidable"
    assert scopes["pacs, cnn, small"].algorithms[0].quantizers[0].answer == "not decidable"


def test_protocols_of_one_data_set_are_never_put_together(store: RunStore, fill: Fill) -> None:
    for protocol in ("small", "large"):
        fill({"lsq": 2.0}, domains=4, protocol=protocol)
    assert [s.name for s in judge_folder(store.root).scopes] == ["pacs, cnn, large", "pacs, cnn, small"]


def test_rendered_with_words_and_tables(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, **CONTROLS})
    text = Report.of(store.root).words()
    for part in (
        "## Verdict",
        "Does the gain hold under every quantizer? Yes. The only mean gain is +",
        "8 domains x 3 seeds",
        "| lsq W7",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("change", "message"),
    [({"alpha": 0.0}, r"alpha must lie between 0 and 0\.5, got 0\.0"), ({"margin": -1.0}, r"margin must be above 0")],
)
def test_rules_out_of_range(store: RunStore, change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        judge_folder(store.root, **change)
