"""Tables of deployed models from records made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quantdg.bench.results.deployment import Bytes, Deployment, Timing, write_deployment
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import RecordError
from quantdg.reports.commands import report
from quantdg.reports.frames.results import load
from quantdg.reports.frames.roles import Roles
from quantdg.reports.frames.timings import costs
from quantdg.reports.report import Report
from quantdg.reports.tables.deployment import deployed_size_table, deployment_tables, ensemble_table, proof_table
from quantdg.reports.tables.latency import timing_table

Make = Callable[..., Record]
SMALL = Timing(1, 1, "cpu", 0.5, 0.4, 0.6, (1.0, 0.9, 1.1), 0.5, 0.45, 0.55, 20, 3, 0.7)
LARGE = Timing(32, 2, "wall", 6.0, 5.0, 7.0, (20.0, 19.0, 21.0), 0.3, 0.28, 0.33, 20, 1, 0.7)


def deployed(record: Record, kind: str = "integer", **change: object) -> Deployment:
    """What deploying this record's cell might measure."""
    whole = Deployment(
        record.key, record.labels, "openvino", "integer", size=16, bytes=Bytes(1000, 1010, 270, 220, 150, 180, 8, 30),
        layers=4, integer_layers=3, folded=3, images=64, difference=2e-3, fused_difference=3e-3, noise=2e-3, limit=4e-3,
        accuracy=0.75, stored_accuracy=0.7, changed=6, machine={"cpu": "X"}, timings=(SMALL, LARGE),
    )  # fmt: skip
    return replace(whole, kind=kind, **change)


@pytest.fixture
def cells(store: RunStore, make: Make) -> dict[str, Record]:
    """Float, LSQ with and without quantized inputs, and one that fails; two seeds."""
    out = {}
    for seed in range(2):
        for name, bits in (("float", "float"), ("lsq", "W7"), ("lsq", "W7A8"), ("pot", "W4")):
            record = make(seed=seed, quantizer=name, bits=bits, rows={"iid": 0.5 + 0.25 * (bits == "W7A8")})
            store.write(record)
            out[f"{bits}{seed}"] = record
    return out


def stored(store: RunStore, cells: dict[str, Record]) -> None:
    weights = {"timings": (), "reason": "inputs are float", "integer_layers": 0}
    for record in (
        deployed(cells["W7A80"]),
        deployed(cells["W7A81"], timings=(), difference=9e-3, changed=1),
        deployed(cells["W70"], "size only", **weights),
        deployed(cells["W71"], "size only", **weights),
        deployed(cells["W40"], "not exportable", timings=(), reason="a code book of 9 levels", difference=None),
        Deployment(16 * "e", cells["W41"].labels, "onnxruntime", "unavailable", "needs onnxruntime"),
        deployed(cells["float0"], "float32", timings=(), bytes=Bytes(1000, 1010, 0, 1000, 900, 0, 0, 1000)),
    ):
        write_deployment(store.root, record)


def test_sizes_count_a_cell_once(cells: dict[str, Record]) -> None:
    first, second = deployed(cells["W7A80"]), deployed(cells["W7A81"])
    bigger = replace(second, bytes=Bytes(1000, 1010, 290, 240, 170, 180, 8, 30))
    table = deployed_size_table([first, replace(first, runtime="onnxruntime"), bigger], "size", "Size", Roles())
    assert table.text.to_dict("records") == [
        {
            "algorithm": "erm", "quantizer": "lsq", "bits": "W7A8", "float": "1,000", "runtime file": "280",
            "packed": "230", "zstd": "160", "packed / float": "0.2300", "zstd / float": "0.1600", "codes": "180",
            "scales": "8", "rest": "30", "cells": "2",
        }
    ]  # fmt: skip
    assert (table.numbers["packed_ratio"].item(), table.numbers["n"].item()) == (0.23, 2)


def test_latency_has_numbers_a_label_or_a_reason(store: RunStore, cells: dict[str, Record]) -> None:
    stored(store, cells)
    table = timing_table(load(store.root).deployed, "latency", "Latency", Roles())
    lines = {(r["bits"], r["runtime"], r["batch"]): r for r in table.text.to_dict("records")}
    assert len(lines) == len(table.text) == 5
    one = lines["W7A8", "openvino", "1"]
    assert (one["integer ms"], one["float32 ms"]) == ("0.500 (0.400–0.600)", "1.000 (0.900–1.100)")
    assert (one["ratio"], one["integer layers"]) == ("0.500 (0.450–0.550)", "3 of 4")
    assert (one["clock, threads"], one["pixels"], one["rounds"], one["load"]) == ("CPU, 1", "16", "20", "0.7")
    assert lines["W7A8", "openvino", "32"]["clock, threads"] == "wall, 2"
    weights = lines["W7", "openvino", "—"]
    assert (weights["integer ms"], weights["ratio"], weights["integer layers"]) == ("size only", "—", "0 of 4")
    assert lines["W4", "openvino", "—"]["integer ms"] == "not exportable"
    assert lines["W4", "openvino", "—"]["reason"] == "a code book of 9 levels"
    assert lines["W4", "onnxruntime", "—"]["reason"] == "needs onnxruntime"
    assert {"Machine M1: cpu X.", "Machine M2: not recorded."} <= set(table.notes)
    assert table.numbers["ratio"].dropna().tolist() == [0.5, 0.3]


def test_the_proof_counts_cells_and_images(store: RunStore, cells: dict[str, Record]) -> None:
    stored(store, cells)
    table = proof_table(load(store.root).deployed, "proof", "Proof", Roles())
    line = next(r for r in table.text.to_dict("records") if r["bits"] == "W7A8")
    assert (line["same model"], line["distance"], line["limit"]) == ("1 of 2 cells", "9.0e-03", "4.0e-03")
    assert (line["recorded"], line["from runtime"], line["changed"]) == ("70.00", "75.00", "7")
    assert line["other class"] == "—"  # records of before 0.4 do not say
    now = [replace(d, images_changed=2, recorded_changed=1) for d in load(store.root).deployed]
    table = proof_table(now, "proof", "Proof", Roles())
    assert next(r for r in table.text.to_dict("records") if r["bits"] == "W7A8")["other class"] == "6"
    assert (line["as timed"], line["BatchNorm folded"], line["not folded"]) == ("3.0e-03", "3", "0")
    assert set(table.text["bits"]) == {"float", "W7", "W7A8"}


def test_five_seeds_make_an_ensemble(make: Make) -> None:
    members = [deployed(make(seed=s, quantizer="lsq", rows={"iid": 0.5})) for s in range(5)]
    table = ensemble_table(members, "ensemble", "Ensembles", Roles())
    (line,) = table.text.to_dict("records")
    assert (line["packed"], line["zstd"], line["one float model"]) == ("1,100", "750", "1,000")
    assert (line["packed / one float"], line["zstd / one float"]) == ("1.100", "0.750")
    assert table.traces == {(0, "packed / one float"): tuple(sorted(m.file for m in members))}
    assert ensemble_table(members[1:], "ensemble", "Ensembles", Roles()).text.empty


def test_costs_put_float_beside_the_integer_models(cells: dict[str, Record]) -> None:
    (small, large) = costs([deployed(cells["W7A80"]), deployed(cells["W70"], "size only", timings=())], Roles())
    assert small[0] == "openvino, batch 1, 1 thread, CPU time"
    assert small[1][["quantizer", "ms"]].to_numpy().tolist() == [["lsq", 0.5], ["float", 1.0]]
    assert large[1]["ms"].tolist() == [6.0, 20.0]
    assert list(costs([], Roles())) == []


def test_nothing_deployed_makes_no_tables(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 0.5}))
    assert list(deployment_tables(load(store.root))) == []


def test_every_row_leads_to_the_files_it_comes_from(store: RunStore, cells: dict[str, Record]) -> None:
    stored(store, cells)
    results = load(store.root)
    found = results.deployed
    for table in deployment_tables(results):
        assert {row for row, _ in table.traces} == set(range(len(table.text)))
        assert all((store.root / file).exists() for files in table.traces.values() for file in files)
    table = proof_table(found, "proof", "Proof", Roles())
    at = table.text["bits"].tolist().index("W7A8")
    assert table.traces[at, "same model"] == tuple(
        sorted(f"deploy/{cells[name].key}-openvino.json" for name in ("W7A80", "W7A81"))
    )


def test_cells_of_one_label_but_other_settings_stay_apart(store: RunStore, make: Make) -> None:
    for lr in (1, 2):
        record = make(quantizer="lsq", rows={"iid": 0.5}, settings={"quantizer": {"name": "lsq", "lr": lr}})
        store.write(record)
        write_deployment(store.root, deployed(record))
    table = deployed_size_table(load(store.root).deployed, "size", "Size", Roles())
    assert table.text["quantizer"].tolist() == ["lsq (lr=1)", "lsq (lr=2)"]


def test_report_and_page_come_from_the_records(store: RunStore, cells: dict[str, Record], tmp_path: Path) -> None:
    stored(store, cells)
    (store.root / "deploy" / "bad.json").write_text("{}")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        assert report([str(store.root), "--out", str(folder), "--html", str(folder / "page.html")]) == 0
    written = {str(p.relative_to(folders[0])) for p in folders[0].rglob("*") if p.is_file()}
    for part in ("size", "latency", "proof"):
        assert {f"deployed-{part}-pacs-cnn-small.{form}" for form in ("md", "csv", "tex")} <= written
    for name in written:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    page = (folders[0] / "page.html").read_text(encoding="utf-8")
    assert '"options": ["openvino, batch 1, 1 thread, CPU time"' in page.replace("&#34;", '"')
    assert "a code book of 9 levels" in page
    assert "deploy/bad.json" in (folders[0] / "report.md").read_text(encoding="utf-8")


def test_accuracy_from_a_runtime_replaces_the_primary_selection(store: RunStore, make: Make) -> None:
    record = make(quantizer="lsq", rows={"iid": 0.5, "last": 0.25})
    store.write(record)
    write_deployment(store.root, deployed(record, target_in=0.625))
    made = Report.of(store.root, accuracy_from="openvino")
    assert made.results.cells.set_index("selection")["accuracy"].to_dict() == {"iid": 0.625, "last": 0.25}
    assert made.results.provenance["accuracy from", "openvino"] == 1
    store.write(make(seed=1, quantizer="lsq", rows={"iid": 0.5}))
    with pytest.raises(RecordError, match="1 of 2 are not"):
        Report.of(store.root, accuracy_from="openvino")
    with pytest.raises(RecordError, match="2 of 2 are not"):
        Report.of(store.root, accuracy_from="onnxruntime")
