"""Baseline, controls and methods as the records say: a control of another package counts as one everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.roles import ROLES
from quantdg.bench.results.store import RunStore
from quantdg.quantizers.base import Role
from quantdg.quantizers.freeze import Freeze
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.uniform_noise import UniformNoise
from quantdg.reports.frames.results import load
from quantdg.reports.frames.roles import Roles
from quantdg.reports.report import Report

Make = Callable[..., Record]
MY_CONTROL = {"role": "control", "meaning": "shuffling the weights"}
STANDARD = ("freeze", "round_freeze", "uniform_noise")


@pytest.fixture
def with_a_strangers_control(store: RunStore, make: Make) -> RunStore:
    """Eight domains, two seeds: float, the standard controls, lsq, and ``my_control`` that lsq beats."""
    points = {"float": 70.0, **dict.fromkeys(STANDARD, 70.0), "my_control": 70.5, "lsq": 72.0, "a_method": 71.0}
    for quantizer, value in points.items():
        said = MY_CONTROL if quantizer == "my_control" else {}
        for domain in range(8):
            for seed in range(2):
                rows = {"iid": (value + domain + 0.1 * (seed + domain % 3)) / 100}
                store.write(make(f"d{domain}", seed, quantizer=quantizer, rows=rows, **said))
    return store


def test_a_strangers_control_is_ordered_among_the_controls(with_a_strangers_control: RunStore) -> None:
    listed = load(with_a_strangers_control.root).cells["quantizer"].drop_duplicates()
    assert list(listed) == ["float", "freeze", "my_control", "round_freeze", "uniform_noise", "a_method", "lsq"]


def test_a_strangers_control_is_no_quantizer_of_the_verdict(with_a_strangers_control: RunStore) -> None:
    report = Report.of(with_a_strangers_control.root)
    (judged,) = report.verdict.scopes[0].algorithms
    assert [claim.name for claim in judged.quantizers] == ["a_method W7", "lsq W7"]
    assert judged.expected_controls["my_control"] == "shuffling the weights"
    assert "+1.50 points against shuffling the weights" in report.text()
    assert "my_control W7:" not in report.text()


def test_a_strangers_control_is_a_row_of_the_tables_like_any_control(with_a_strangers_control: RunStore) -> None:
    tables = {table.name.split("-")[0]: table for table in Report.of(with_a_strangers_control.root).measured}
    rows = tables["accuracy"].text.set_index("quantizer")
    assert list(rows.index) == ["float", "freeze", "my_control", "round_freeze", "uniform_noise", "a_method", "lsq"]
    assert rows.loc["my_control", "gain over float"].startswith("+0.50")
    judged = {table.name.rpartition("-pacs")[0]: table for table in Report.of(with_a_strangers_control.root).judged}
    comparisons = list(judged["verdict-controls"].text["comparison"])
    assert "lsq W7 > my_control W7" in comparisons
    assert not any(name.startswith("my_control") for name in comparisons)


def test_a_control_that_is_not_beaten_takes_the_gain_from_quantization(store: RunStore, make: Make) -> None:
    points = {"float": 70.0, **dict.fromkeys(STANDARD, 70.0), "my_control": 73.0, "lsq": 72.0}
    for quantizer, value in points.items():
        said = MY_CONTROL if quantizer == "my_control" else {}
        for domain in range(8):
            rows = {"iid": (value + 0.1 * domain) / 100}
            store.write(make(f"d{domain}", quantizer=quantizer, rows=rows, **said))
    assert "lsq W7: not shown. +2.00 points against" in Report.of(store.root).text()


def test_records_that_say_nothing_get_the_role_of_their_name(make: Make) -> None:
    said = {name: (make(quantizer=name).role, make(quantizer=name).meaning) for name in ("float", "lsq", *STANDARD)}
    assert said["float"] == ("baseline", "")
    assert said["lsq"] == ("method", "")
    for kind in (Freeze, RoundFreeze, UniformNoise):
        assert said[kind.name] == ("control", kind.meaning)


def test_where_records_disagree_the_class_that_could_be_asked_counts() -> None:
    said = [("mine", "method", ""), ("mine", "control", "a shuffle"), ("mine", "method", "")]
    roles = Roles.of(said)
    assert not roles.is_method("mine")
    assert roles.expected_controls(["mine", "lsq"])["mine"] == "a shuffle"


def test_a_variant_of_a_control_stays_a_control_and_stands_for_it() -> None:
    roles = Roles.of([("freeze (lr_ratio=0.1)", "control", "freezing")])
    assert list(roles.expected_controls(["freeze (lr_ratio=0.1)"])) == [
        "freeze (lr_ratio=0.1)",
        "round_freeze",
        "uniform_noise",
    ]
    assert not roles.is_method("freeze (lr_ratio=0.3)")


def test_roles_of_records_and_of_classes_are_the_same_words() -> None:
    assert get_args(Role) == ROLES
