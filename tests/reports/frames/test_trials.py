"""Trials of a search in a report, on made-up records where the target would choose otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantdg.bench.results.deployment import Deployment, write_deployment
from quantdg.bench.results.record import Record, Row, pack_bits
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.trials import SearchedRow, Trial, write_search
from quantdg.core.errors import RecordError
from quantdg.reports.frames.results import load
from quantdg.reports.report import Report

MakeRecord = Callable[..., Record]
PROTOCOL = {"name": "small", "steps": 60, "lr": 5e-05}
TRIALS = {"float": ((0.90, 0.50), (0.95, 0.40), (0.92, 0.80)), "lsq": ((0.91, 0.55), (0.80, 0.90), (0.93, 0.45))}
"""(source validation, target) of three trials: by the source, float has trial 1 and lsq trial 2; by the target 2 and 1."""


def row(source: float, target: float) -> Row:
    return Row(
        50, target, target, {"photo": source - 0.01, "clip": source + 0.01}, 0.3, pack_bits(np.ones(8, dtype=bool))
    )


def trial(make: MakeRecord, number: int, scores: tuple[float, float], quantizer: str, **place: object) -> Record:
    lr = (5e-05, 1e-3, 2e-3)[number]
    record = make(quantizer=quantizer, settings={"protocol": {**PROTOCOL, "lr": lr}}, **place)
    return Record(**{**vars(record), "rows": {"iid": row(*scores), "last": row(*scores)}})


def search(store: RunStore, make: MakeRecord, trials: int = 3, **place: object) -> dict[str, list[str]]:
    """Float and lsq with their trials; returns the keys."""
    keys: dict[str, list[str]] = {}
    for quantizer, scores in TRIALS.items():
        records = [trial(make, n, scores[n], quantizer, **place) for n in range(trials)]
        for record in records:
            store.write(record)
        keys[quantizer] = [record.key for record in records]
        note(store, keys[quantizer])
    return keys


def note(store: RunStore, keys: list[str], by: list[str] | None = None) -> None:
    values = [{"protocol.lr": lr} for lr in (5e-05, 1e-3, 2e-3)]
    trials = tuple(Trial(n, key, values[n]) for n, key in enumerate(keys))
    write_search(store, [SearchedRow(keys[0], (keys[0],) if by is None else tuple(by), trials)])


def accuracies(root: Path) -> dict[str, float]:
    cells = load(root).cells
    iid = cells[cells["selection"] == "iid"]
    return dict(zip(iid["quantizer"], iid["accuracy"], strict=True))


def test_source_validation_chooses_where_the_target_would_choose_otherwise(store: RunStore, make: MakeRecord) -> None:
    keys = search(store, make)
    assert accuracies(store.root) == {"float": 0.40, "lsq": 0.45}
    found = load(store.root)
    assert found.trials["key"].tolist() == [keys["float"][1], keys["lsq"][2]]
    assert found.trials["trial"].tolist() == [1, 2]
    assert set(found.cells["protocol"]) == {"small"}, "hyper-parameters are in no label"
    plain = found.without_search
    assert dict(zip(plain["quantizer"], plain["accuracy"], strict=True)) == {"float": 0.50, "lsq": 0.55}


def test_without_a_search_the_same_records_are_rows_of_their_own(store: RunStore, make: MakeRecord) -> None:
    for number in range(3):
        store.write(trial(make, number, TRIALS["float"][number], "float"))
    assert set(load(store.root).cells["protocol"]) == {"small (lr=5e-05)", "small (lr=0.001)", "small (lr=0.002)"}
    assert load(store.root).trials.empty


def test_other_trials_are_in_no_frame(store: RunStore, make: MakeRecord) -> None:
    keys = search(store, make)
    found = load(store.root)
    assert set(found.cells["key"]) == {keys["float"][1], keys["lsq"][2]}
    assert len(found.without_search.drop_duplicates("key")) == 2


def test_the_first_of_equal_trials_counts_and_failed_ones_never(store: RunStore, make: MakeRecord) -> None:
    equal = [trial(make, n, (0.9, 0.1 * n), "float") for n in range(2)]
    broken = trial(make, 2, (0.99, 0.9), "float")
    failed = Record(**{**vars(broken), "status": "failed", "reason": "boom", "rows": {}})
    for record in (*equal, failed):
        store.write(record)
    note(store, [record.key for record in (*equal, failed)])
    found = load(store.root).trials
    assert (found["trial"].item(), found["asked"].item(), found["done"].item()) == (0, 3, 2)


def test_a_row_without_any_result_shows_its_default(store: RunStore, make: MakeRecord) -> None:
    records = [trial(make, n, (0.9, 0.5), "float") for n in range(2)]
    failed = [Record(**{**vars(r), "status": "failed", "reason": "boom", "rows": {}}) for r in records]
    for record in failed:
        store.write(record)
    note(store, [record.key for record in failed])
    cells = load(store.root).cells
    assert cells["key"].tolist() == [failed[0].key]


def test_held_out_seeds_choose_for_those_that_are_reported(store: RunStore, make: MakeRecord) -> None:
    held = [trial(make, n, TRIALS["float"][n], "float", seed=1000) for n in range(3)]
    own = [trial(make, n, (0.99 - 0.1 * n, 0.3 + 0.1 * n), "float", seed=0) for n in (0, 1)]
    for record in (*held, *own):
        store.write(record)
    note(store, [r.key for r in held], by=[])
    note(store, [r.key for r in own], by=[held[0].key])
    found = load(store.root)
    assert set(found.cells["seed"]) == {0}, "a held-out seed is in no table"
    assert found.trials["trial"].item() == 1, "its own source validation would have chosen trial 0"
    assert found.trials["asked"].item() == 3


def test_a_cell_chosen_elsewhere_that_has_not_been_run_is_missing(store: RunStore, make: MakeRecord) -> None:
    held = [trial(make, n, TRIALS["float"][n], "float", seed=1000) for n in range(3)]
    own = trial(make, 0, (0.9, 0.3), "float", seed=0)
    for record in (*held, own):
        store.write(record)
    note(store, [r.key for r in held], by=[])
    note(store, [own.key], by=[held[0].key])
    assert load(store.root).cells.empty


def test_the_tables_say_how_many_trials_what_was_chosen_and_what_no_search_gives(
    store: RunStore, make: MakeRecord
) -> None:
    search(store, make)
    report = Report.of(store.root)
    tables = {table.name.partition("-")[0]: table for table in report.measured}
    assert tables["accuracy"].text["trials"].unique().tolist() == ["3"]
    gives = tables["search"].text.set_index("quantizer")
    assert gives.loc["lsq", ["trials", "with search", "without", "gain"]].tolist() == ["3", "45.0", "55.0", "-10.00"]
    assert gives["default kept"].tolist() == ["0 of 1", "0 of 1"]
    chosen = tables["chosen"].text.set_index("quantizer")
    assert chosen.loc["float", ["trial", "lr", "source", "source, default"]].tolist() == [
        "1 of 3",
        "0.001",
        "95.0",
        "90.0",
    ]
    assert "float and each quantizer have their own" in report.text()
    assert report.failed_parts == []


def test_unequal_budgets_are_said(store: RunStore, make: MakeRecord) -> None:
    search(store, make)
    records = [trial(make, n, (0.9, 0.5), "pact") for n in range(2)]
    for record in records:
        store.write(record)
    note(store, [r.key for r in records])
    assert "different numbers of trials" in Report.of(store.root).text()


def test_further_trials_of_a_row_count(store: RunStore, make: MakeRecord) -> None:
    search(store, make, trials=2)
    assert accuracies(store.root)["lsq"] == 0.55
    search(store, make)
    assert accuracies(store.root)["lsq"] == 0.45


def test_searches_that_contradict_each_other_are_refused(store: RunStore, make: MakeRecord) -> None:
    keys = search(store, make)["float"]
    path = next((store.root / "search").iterdir())
    raw = json.loads(path.read_text())
    raw[0]["trials"][1][1 if isinstance(raw[0]["trials"][1], list) else "key"] = keys[2]
    (store.root / "search" / "other.json").write_text(json.dumps(raw))
    with pytest.raises(RecordError, match="one search of a row, but trial 1 of"):
        load(store.root)


def test_a_damaged_search_is_a_problem(store: RunStore, make: MakeRecord) -> None:
    search(store, make)
    (store.root / "search" / "bad.json").write_text("[{")
    ((name, reason),) = load(store.root).problems
    assert name == "search/bad.json"
    assert "is not a whole search" in reason


def test_accuracy_from_a_runtime_is_compared_with_none_that_was_computed_elsewhere(
    store: RunStore, make: MakeRecord
) -> None:
    """Trial 0 of lsq, which was not chosen, was not deployed: what the search gives is not known in that runtime."""
    chosen = [search(store, make)["lsq"][2], search(store, make)["float"][1]]
    for record in store.records():
        if isinstance(record, Record) and record.key in chosen:
            write_deployment(store.root, Deployment(record.key, record.labels, "openvino", "integer", target_in=0.625))
    report = Report.of(store.root, accuracy_from="openvino")
    (table,) = (table for table in report.measured if table.name.startswith("search-"))
    lsq = table.text.set_index("quantizer").loc["lsq"]
    assert (lsq["with search"], lsq["without"], lsq["gain"]) == ("62.5", "—", "—")
