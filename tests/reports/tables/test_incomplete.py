"""Cells without a result are shown with their status and averaged nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.cube import Cube
from quantdg.reports.frames.results import load
from quantdg.reports.report import Report
from quantdg.reports.tables import accuracy
from quantdg.reports.tables.failures import failures_table, problems_table

Make = Callable[..., Record]


def _grid(store: RunStore, make: Make, quantizer: str, skip: tuple[tuple[str, int], ...] = ()) -> None:
    for target in ("art", "sketch"):
        for seed in range(3):
            if (target, seed) not in skip:
                store.write(make(target, seed, quantizer=quantizer, rows={"iid": 0.5, "last": 0.4}))


def _lines(store: RunStore, quantizer: str) -> dict[tuple[str, str], accuracy.Line]:
    lines = accuracy.numbers_of(Cube.of(load(store.root).cells))
    return {(x.what, x.target): x for x in lines if x.method[1] == quantizer and x.method[3] == "iid"}


@pytest.mark.parametrize(("status", "shown"), [("failed", "failed 1/3"), ("unsupported", "unsupported 1/3")])
def test_one_bad_cell_takes_its_domain_the_average_and_the_gain(
    store: RunStore, make: Make, status: str, shown: str
) -> None:
    _grid(store, make, "float")
    _grid(store, make, "lsq", skip=(("art", 1),))
    store.write(make("art", 1, quantizer="lsq", status=status, reason="because"))
    lines = _lines(store, "lsq")
    assert lines["accuracy", "art"].state == shown
    assert math.isnan(lines["accuracy", "art"].mean)
    assert lines["accuracy", "sketch"].mean == pytest.approx(50)
    assert math.isnan(lines["average", ""].mean)
    assert math.isnan(lines["gain over float", ""].mean)


def test_an_absent_record_is_missing(store: RunStore, make: Make) -> None:
    _grid(store, make, "float")
    _grid(store, make, "lsq", skip=(("art", 1), ("art", 2)))
    assert _lines(store, "lsq")["accuracy", "art"].state == "missing 2/3"
    failures = failures_table(load(store.root))
    assert list(failures.numbers["status"]) == ["missing", "missing"]
    assert list(failures.text["which"]) == ["pacs/art/1/erm/lsq/W7, pacs/art/2/erm/lsq/W7"]


def test_a_gap_in_float_takes_the_gain_of_the_others(store: RunStore, make: Make) -> None:
    _grid(store, make, "float", skip=(("sketch", 2),))
    _grid(store, make, "lsq")
    lines = _lines(store, "lsq")
    assert lines["average", ""].mean == pytest.approx(50)
    assert lines["gain over float", ""].state == "incomplete pairs"


def test_a_method_without_any_result_still_has_its_rows(store: RunStore, make: Make) -> None:
    _grid(store, make, "float")
    for target in ("art", "sketch"):
        for seed in range(3):
            store.write(make(target, seed, quantizer="nni", status="unavailable", reason="pip install nni"))
    cells = load(store.root).cells
    assert sorted(cells[cells["quantizer"] == "nni"]["selection"].unique()) == ["iid", "last"]
    table = accuracy.accuracy_table(cells, "accuracy", "Accuracy")
    assert (table.text[table.text["quantizer"] == "nni"]["art"] == "unavailable 3/3").all()
    assert list(failures_table(load(store.root)).text["reason"]) == ["pip install nni"]


def test_one_seed_has_no_interval_and_says_so(store: RunStore, make: Make) -> None:
    for target in ("art", "sketch"):
        store.write(make(target, 0, rows={"iid": 0.5}))
    table = accuracy.accuracy_table(load(store.root).cells, "accuracy", "Accuracy")
    assert table.text["art"].item() == "50.0"
    assert "one seed (0): no interval" in table.notes[0]


def test_a_partial_grid_is_marked_everywhere_and_judged_nowhere(store: RunStore, make: Make) -> None:
    _grid(store, make, "float")
    _grid(store, make, "lsq", skip=(("art", 1),))
    report = Report.of(store.root)
    assert "missing 1/3" in report.text()
    assert "lsq W7: incomplete, not judged; so far +0.00 points over 5 of 6 pairs." in report.text()
    assert [drawing.name for drawing in report.drawings] == ["figure-gain-pacs-cnn-small"]


def test_a_damaged_record_is_listed_and_the_others_count(golden: RunStore) -> None:
    path = min((golden.root / "cells").glob("*.json"))
    path.write_text(path.read_text()[:100])
    results = load(golden.root)
    assert results.cells["key"].nunique() == 11
    (file,) = problems_table(results.problems).text["file"]
    assert file == f"cells/{path.name}"
    assert str(golden.root) not in results.problems[0][1]


def test_an_accuracy_outside_0_to_1_is_refused_with_rule_and_value(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 84.7}))
    results = load(store.root)
    assert results.cells.empty
    assert "from 0 to 1, got 84.7 in row 'iid'" in results.problems[0][1]


def test_two_files_with_one_key(store: RunStore, make: Make) -> None:
    record = make(rows={"iid": 0.5})
    store.write(record)
    (store.root / "cells" / "z copy.json").write_text(make(rows={"iid": 0.6}).to_json())
    results = load(store.root)
    assert list(results.cells["accuracy"]) == [0.5]
    assert f"must be the record of z copy, it is that of {record.key}" in results.problems[0][1]
