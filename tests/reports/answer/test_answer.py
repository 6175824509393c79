"""The answer on designs whose answer is known, and what a terminal shows of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main
from quantdg.reports.answer.answer import QUESTION, Answer, answer_of
from quantdg.reports.answer.matrix import matrix_of
from quantdg.reports.report import Report

Make = Callable[..., Record]
Fill = Callable[..., None]


@pytest.fixture
def fill(store: RunStore, make: Make) -> Fill:
    """Write cells with these gains in points, equal in all domains and seeds."""

    def write(gains: dict[str, float], domains: int = 8, algorithm: str = "erm", dataset: str = "pacs") -> None:
        for quantizer, gain in {"float": 0.0, **gains}.items():
            for d in range(domains):
                for seed in range(2):
                    wave = 0.1 * np.sin(7 * d + len(quantizer))
                    value = (70 + d + gain + (wave if gain else 0)) / 100
                    store.write(make(f"d{d}", seed, algorithm, quantizer, {"iid": value}, dataset=dataset))

    return write


def _answer(store: RunStore) -> Answer:
    report = Report.of(store.root)
    found = answer_of(report.verdict, report.results)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("gains", "domains", "word", "takes"),
    [
        ({"lsq": 2.0, "pact": 1.0}, 8, "yes", ""),
        ({"lsq": 2.0, "pact": -1.0}, 8, "no", ""),
        ({"lsq": 2.0, "pact": -0.05}, 8, "not shown", "More domains would not show it: pact W7 does not gain"),
        ({"lsq": 2.0, "pact": 0.05}, 8, "not shown", "domains to show the smallest gain (pact W7)"),
        ({"lsq": 2.0}, 4, "not decidable", "It takes at least 5 target domains to decide anything, here are 4."),
        ({}, 8, "incomplete", "It takes the missing cells"),
    ],
)
def test_the_word_and_what_it_takes(
    store: RunStore, fill: Fill, gains: dict[str, float], domains: int, word: str, takes: str
) -> None:
    fill(gains, domains)
    found = _answer(store)
    assert found.word == word
    assert takes in found.takes
    assert bool(takes) == bool(found.takes)


def test_the_sentence_says_the_effect_and_no_p(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, "pact": -1.0, "freeze": -3.0, "uniform_noise": 2.5})
    found = _answer(store)
    assert "Under erm 2 quantizers change accuracy on unseen domains by -1.0" in found.sentence
    assert found.sentence.endswith("points (lsq W7); 1 of them loses.")
    assert "p =" not in found.sentence
    assert found.counts == "on 1 data set, 8 domains, 2 seeds, 2 quantizers, 2 controls, 1 algorithm"
    assert found.controls == (
        "More than the controls? 2 of 2 quantizers are shown to beat freezing the convolutions at the same step, 0 of 2 to beat "
        "noise of the same size."
    )


def test_widths_of_a_quantizer_are_not_more_quantizers(store: RunStore, make: Callable[..., Record]) -> None:
    for d in range(8):
        for quantizer, bits, gain in (
            ("float", "float", 0),
            ("lsq", "W7", 2),
            ("lsq", "W3", -9),
            ("freeze", "float", -3),
        ):
            store.write(
                make(f"d{d}", quantizer=quantizer, bits=bits, rows={"iid": (70 + d + gain * (1 + d / 50)) / 100})
            )
    found = _answer(store)
    assert found.sentence.startswith("Under erm 2 widths of 1 quantizer change accuracy on unseen domains by -9.6")
    assert "1 quantizer, 1 control" in found.counts
    assert "1 of 2 widths of 1 quantizer are shown to beat freezing" in found.controls


def test_several_data_sets_answer_together(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0}, 4)
    fill({"lsq": 2.0}, 3, dataset="digits")
    found = _answer(store)
    assert (found.word, len(found.scope.domains)) == ("yes", 7)
    assert found.counts.startswith("on 2 data sets, 7 domains")


def test_one_of_several_answers_is_named(store: RunStore, make: Callable[..., Record]) -> None:
    for start in (12, 24):
        for d in range(3):
            for quantizer, value in (("float", 0.5), ("lsq", 0.6)):
                settings = {"protocol": {"name": "small", "steps": 60, "start_step": start}}
                store.write(make(f"d{d}", quantizer=quantizer, rows={"iid": value}, settings=settings))
    assert _answer(store).counts.endswith(", 1 algorithm; one of 2 answers: pacs, cnn, small (start_step=12)")


def test_the_matrix_has_the_numbers_of_the_tables(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0, "freeze": -3.0})
    fill({"lsq": -1.0}, algorithm="coral")
    report = Report.of(store.root)
    (scope,) = report.verdict.scopes
    found = matrix_of(scope, report.results)
    assert found.algorithms == ("erm", "coral")
    assert found.accuracy["erm"] == pytest.approx(73.5)
    claim = scope.algorithms[1].quantizers[0]
    assert claim.effect is not None
    shown = found.methods["lsq W7"]["coral"]
    assert (shown.mean, shown.low, shown.high, shown.answer) == (
        claim.effect.mean,
        claim.effect.low,
        claim.effect.high,
        "loss",
    )
    assert list(found.controls) == ["freeze W7"]
    assert "coral" not in found.controls["freeze W7"]


def test_a_terminal_shows_at_most_40_lines_of_120(
    store: RunStore, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {f"method_{i:02}": float(i - 12) for i in range(24)} | {"freeze": -3.0, "uniform_noise": 1.0}
    for algorithm in ("erm", "coral", "dann", "irm"):
        fill(many, domains=2, algorithm=algorithm)
    assert main(["report", str(store.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == QUESTION
    assert len(lines) <= 40
    assert max(map(len, lines[:-3])) <= 120  # the last three end in a path
    text = "\n".join(lines)
    assert "--full has 6 more rows, 1 more algorithms" in text
    assert "method_00" in text
    assert "method_23" in text
    assert "method_12" not in text
    assert lines[-1] == f"page: {store.root / 'report' / 'index.html'}"
    assert (store.root / "report" / "index.html").read_text().startswith("<!doctype html>")


def test_full_and_json(store: RunStore, fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    fill({"lsq": 2.0, "pact": 1.0})
    assert main(["verdict", str(store.root)]) == 0
    brief = capsys.readouterr().out
    assert len(brief.splitlines()) <= 5
    assert " YES " in brief
    assert main(["verdict", str(store.root), "--full"]) == 0
    assert "every quantizer? Yes" in capsys.readouterr().out
    assert main(["verdict", str(store.root), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"]["word"] == "yes"
    claim = said["scopes"][0]["algorithms"][0]["quantizers"][0]
    assert claim["name"] == "lsq W7"
    assert claim["effect"]["mean"] == pytest.approx(2.0, abs=0.1)
    assert claim["effect"]["n_domains"] == 8
    assert main(["report", str(store.root), "--full"]) == 0
    assert "Accuracy by target domain" in capsys.readouterr().out


def test_a_level_below_every_p_is_said_and_not_searched_for(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 2.0}, 4)
    report = Report.of(store.root, alpha=1e-5)
    found = answer_of(report.verdict, report.results)
    assert found is not None
    assert (found.word, "no number of them is enough" in found.takes) == ("not decidable", True)


def test_names_cannot_command_a_terminal(store: RunStore, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for quantizer in ("float", "evil\x1b[2J"):
        store.write(make(quantizer=quantizer, rows={"iid": 0.5}))
    assert main(["report", str(store.root)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_folder_without_cells(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verdict", str(store.root)]) == 0
    assert "NO CELLS YET" in capsys.readouterr().out


def test_several_data_sets_say_what_is_known_of_further_ones(store: RunStore, fill: Fill) -> None:
    for i in range(3):
        fill({"lsq": 2.0}, 4, dataset=f"s{i}")
    found = _answer(store)
    assert found.word == "yes"
    assert found.beyond == (
        "That is about further domains of these data sets; about further data sets: not decidable, with 3 data sets no result "
        "can have a p below 0.125; it takes 5."
    )
    for i in range(3, 6):
        fill({"lsq": 2.0}, 4, dataset=f"s{i}")
    assert _answer(store).beyond.endswith("about further data sets: yes.")


def test_data_sets_count_alike_in_the_matrix_as_in_the_verdict(store: RunStore, fill: Fill) -> None:
    fill({"lsq": 1.0}, 6)
    fill({"lsq": 3.0}, 2, dataset="digits")
    report = Report.of(store.root)
    shown = matrix_of(report.verdict.scopes[0], report.results)
    assert shown.methods["lsq W7"]["erm"].mean == pytest.approx(2, abs=0.1)
    assert shown.accuracy["erm"] == pytest.approx((72.5 + 70.5) / 2)
