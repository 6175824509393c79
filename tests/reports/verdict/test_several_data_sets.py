"""What the verdict says about further domains of several data sets, and about further data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from pytest import approx

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.report import Report
from quantdg.reports.stats.units import DataSets, DomainsOfDataSets
from quantdg.reports.verdict.judge import AlgorithmVerdict, Scope, judge_folder
from quantdg.reports.verdict.sentences import verdict_sentences

Make = Callable[..., Record]
Fill = Callable[..., None]


@pytest.fixture
def fill(store: RunStore, make: Make) -> Fill:
    """Write float and lsq with a true gain by data set; domains vary by .2 points, seeds by .1."""

    def write(gains: Mapping[str, float], domains: int = 4, **labels: str) -> None:
        draw = np.random.default_rng(len(gains))
        for dataset, gain in gains.items():
            for d in range(domains):
                effect = gain + draw.normal(0, 0.2)
                for seed in range(2):
                    for quantizer, value in (("float", 60.0), ("lsq", 60 + effect + draw.normal(0, 0.1))):
                        rows = {"iid": value / 100, "swad": value / 100}
                        store.write(make(f"d{d}", seed, quantizer=quantizer, rows=rows, dataset=dataset, **labels))

    return write


def _two(store: RunStore) -> tuple[Scope, Scope]:
    domains, data_sets, *_ = judge_folder(store.root).scopes
    assert isinstance(domains.units, DomainsOfDataSets)
    assert isinstance(data_sets.units, DataSets)
    return domains, data_sets


def _only(scope: Scope) -> AlgorithmVerdict:
    (judged,) = scope.algorithms
    return judged


def test_three_data_sets_decide_about_their_domains_and_not_about_further_data_sets(
    store: RunStore, fill: Fill
) -> None:
    fill({"a": 1.0, "b": 2.0, "c": 3.0})
    domains, data_sets = _two(store)
    (here,), (beyond,) = _only(domains).quantizers, _only(data_sets).quantizers
    assert (here.answer, beyond.answer) == ("gain", "not decidable")
    assert here.effect is not None
    assert beyond.effect is not None
    assert here.effect.mean == approx(beyond.effect.mean) == approx(2, abs=0.2)
    assert (here.unit, here.effect.n_domains, beyond.unit, beyond.effect.n_domains) == ("domain", 12, "data set", 3)
    assert beyond.p == 0.25
    assert beyond.needed == 6
    assert here.spread is not None
    assert (here.spread.strata, here.spread.domains) == (approx(1, abs=0.3), approx(0.2, abs=0.15))
    assert (_only(domains).conjunction.answer, _only(data_sets).conjunction.answer) == ("yes", "not decidable")
    assert _only(data_sets).interactions == []


def test_the_words_say_which_answer_is_which_and_what_it_would_take(store: RunStore, fill: Fill) -> None:
    fill({"a": 1.0, "b": 2.0, "c": 3.0})
    (first, here), (second, beyond), *_ = verdict_sentences(judge_folder(store.root))
    assert first.startswith("erm on further domains of a + b + c, cnn, small: 12 domains x 2 seeds")
    assert second.startswith("erm on further data sets beside a + b + c, cnn, small: 3 data sets x 2 seeds")
    assert here[0].startswith("Does the gain hold under every quantizer? Yes.")
    assert "points between data sets, 0." in here[2]
    assert "Not decidable: with 3 data sets no result can have a p below 0.125; it takes 5. The only" in beyond[0]
    assert "worst data set a +" in beyond[1]
    assert "6 data sets are needed to show it with 80 % power" in beyond[1]
    assert "For these domains alone" not in " ".join(beyond)
    assert len(beyond[1].keys) == 3 * 4 * 2 * 2


def test_eight_data_sets_decide_about_further_ones(store: RunStore, fill: Fill) -> None:
    fill({f"s{i}": 1 + 0.1 * i for i in range(8)}, domains=2)
    judged = _only(_two(store)[1])
    assert [c.answer for c in judged.quantizers] == ["gain"]
    assert judged.quantizers[0].p == 2 / 2**8
    assert len(judged.interactions) == 1


def test_effects_of_data_sets_that_cancel_are_no_gain_and_no_loss(store: RunStore, fill: Fill) -> None:
    fill({"a": 3.0, "b": -3.0})
    (claim,) = _only(_two(store)[0]).quantizers
    assert claim.answer == "not shown"
    assert claim.effect is not None
    assert claim.effect.high - claim.effect.low < 1  # the data sets' own effects are no part of the interval


def test_data_sets_count_alike_however_many_domains_they_have(store: RunStore, fill: Fill) -> None:
    fill({"a": 1.0}, domains=6)
    fill({"b": 3.0}, domains=2)
    domains, data_sets = _two(store)
    for scope in (domains, data_sets):
        (claim,) = _only(scope).quantizers
        assert claim.effect is not None
        assert claim.effect.mean == approx(2, abs=0.2)
    (square,) = _only(domains).interactions
    assert square.accuracy[1] == approx(62, abs=0.2)


def test_one_domain_of_a_data_set_leaves_the_question_open_and_says_why(store: RunStore, fill: Fill) -> None:
    fill({"a": 1.0})
    fill({"b": 1.0}, domains=1)
    (claim,) = _only(_two(store)[0]).quantizers
    assert claim.answer == "not decidable"
    (_, here), *_ = verdict_sentences(judge_folder(store.root))
    assert "Not decidable: how much domains vary is not known of b, with one target domain." in here[0]
    assert "p = nan" not in " ".join(here)


def test_a_gap_in_one_data_set_is_a_gap_in_both_answers(store: RunStore, fill: Fill, make: Make) -> None:
    fill({"a": 1.0, "b": 1.0})
    store.write(make("d3", 1, quantizer="lsq", status="failed", reason="diverged", dataset="b"))
    for scope in _two(store):
        assert [c.answer for c in _only(scope).quantizers] == ["incomplete"]
    assert [c.answer for c in _only(judge_folder(store.root).scopes[2]).quantizers] == ["not decidable"]  # a alone


def test_a_data_set_of_its_own_protocol_and_model_is_judged_with_the_others(store: RunStore, fill: Fill) -> None:
    fill({"a": 1.0, "b": 1.0})
    fill({"c": 1.0}, model="mnist_cnn", protocol="mnist")
    assert _two(store)[0].name == "further domains of a + b + c, cnn + mnist_cnn, small + mnist"


def test_tables_of_both_have_files_of_their_own(store: RunStore, fill: Fill) -> None:
    fill({"a": 1.0, "b": 2.0, "c": 3.0})
    tables = {t.name: t for t in Report.of(store.root).judged}
    domains, data_sets = tables["verdict-gain-domains-cnn-small"], tables["verdict-gain-datasets-cnn-small"]
    assert {"sd data sets", "sd domains", "worst domain", "domains x seeds"} <= {*domains.text.columns}
    assert {"worst data set", "data sets x seeds", "data sets needed"} <= {*data_sets.text.columns}
    assert {"n_data_sets", "worst_data_set"} <= {*data_sets.numbers.columns}
    assert data_sets.text["data sets x seeds"].tolist() == ["3 x 2"]
    assert "for further domains of these data sets" in domains.notes[0]


def test_one_data_set_at_several_severities_is_judged_at_each_of_them(store: RunStore, fill: Fill) -> None:
    fill({"digits": 2.0, "digits@0.5": 2.0})
    report = Report.of(store.root)
    assert len(report.verdict.scopes) == 2
    assert not any("further" in scope.name for scope in report.verdict.scopes)
    assert "digits@0.5" in report.text()
