"""Sizes, latency and audit: the numbers in the tables are those in the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import Record, Sizes
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.results import load
from quantdg.reports.frames.roles import Roles
from quantdg.reports.tables.audit import audit_table
from quantdg.reports.tables.cost import FLOAT_ARITHMETIC, latency_table, size_table
from quantdg.reports.text.numbers import DASH

Make = Callable[..., Record]


def test_sizes(golden: RunStore) -> None:
    table = size_table(load(golden.root).sizes, "size", "Size", Roles())
    lsq = table.text.set_index("quantizer").loc["lsq"]
    assert (lsq["float file"], lsq["packed file"], lsq["packed / float"]) == ("1,000", "250", "0.2500")
    assert table.numbers["n"].tolist() == [6, 6]


def test_sizes_that_differ_show_their_range(store: RunStore, make: Make) -> None:
    for seed, packed in enumerate((240, 260)):
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, sizes=Sizes(1000, packed, 1, 1, 1)))
    table = size_table(load(store.root).sizes, "size", "Size", Roles())
    assert table.text["packed file"].item() == "240–260"
    assert table.numbers["ratio"].item() == 0.25


def test_float_arithmetic_on_a_quantized_model_is_called_no_integer_speed(golden: RunStore) -> None:
    table = latency_table(load(golden.root).latency, "latency", "Latency")
    assert FLOAT_ARITHMETIC in table.notes
    lsq = table.text.set_index("quantizer").loc["lsq"]
    assert (lsq["ms a call"], lsq["quartiles"]) == ("4.000", "3.500–4.500")
    assert "Machine M1: cpu X." in table.notes
    assert "machine" not in table.text
    assert (lsq["runtime"], lsq["arithmetic"], lsq["batch"], lsq["threads"]) == ("torch eager", "float32", "1", "2")


def test_measurements_of_two_machines_are_told_apart(
    store: RunStore, make: Make, make_latency: Callable[..., Latency]
) -> None:
    record = make(quantizer="lsq", rows={"iid": 0.5})
    store.write(record)
    store.write_latency(make_latency(record))
    store.write_latency(replace(make_latency(record, batch=32), machine={"cpu": "Y"}))
    table = latency_table(load(store.root).latency, "latency", "Latency")
    assert sorted(table.text["machine"]) == ["M1", "M2"]
    assert {"Machine M1: cpu X.", "Machine M2: cpu Y."} <= set(table.notes)


def test_numbers_of_one_method_stand_behind_its_name_alone(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    for seed, (first, second) in enumerate([(0.1, 0.3), (0.3, 0.5), (0.5, 0.9)]):
        audit = {"conv1": site(**{"own.delta": first, "own.on": 1.0}), "conv2": site(**{"own.delta": second})}
        store.write(make(seed=seed, quantizer="ewgs", rows={"iid": 0.5}, audit=audit))
    store.write(make(quantizer="lsq", rows={"iid": 0.5}, audit={"conv1": site()}))
    results = load(store.root)
    table = audit_table(results.audit, "audit", "Audit", Roles())
    shown = table.text.set_index("quantizer")["of its own"]
    assert (shown["ewgs"], shown["lsq"]) == (
        "delta 0.4, on 1",
        DASH,
    )  # means .2, .4 and .7 over layers, then their median
    assert table.numbers.set_index("quantizer")["own.delta"].fillna(-1).to_dict() == pytest.approx(
        {"ewgs": 0.4, "lsq": -1}
    )
    assert any("show CELL --full" in note for note in table.notes)
    without = audit_table(results.audit[results.audit["quantizer"] == "lsq"], "audit", "Audit", Roles())
    assert "of its own" not in without.text
    assert not any(name.startswith("own.") for name in without.numbers)


def test_quantized_outputs_are_counted(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    found = [{"module": name, "grid": "a", "bits": 8, "readers": [], "carried": False} for name in "abc"]
    plan = {"sites": [], "skipped": [], "outputs": found, "float_outputs": [["add", "no module returns it"]]}
    outputs = {
        name: {"scale_moved": moved, "scale_gradient": 0.1} for name, moved in zip("abc", (0.1, 0.2, 0.6), strict=True)
    }
    for seed in range(2):
        store.write(
            make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, audit={"a": site()}, plan=plan, outputs=outputs)
        )
    store.write(make(quantizer="pact", rows={"iid": 0.5}, audit={"a": site()}))
    audit = load(store.root).audit
    table = audit_table(audit, "audit", "Audit", Roles())
    text = table.text.set_index("quantizer")
    assert text["outputs"].to_dict() == {"lsq": "3/4", "pact": DASH}
    assert text["outputs moved"].to_dict() == {"lsq": "20.00%", "pact": DASH}
    assert any("placement=full" in note for note in table.notes)
    without = audit_table(audit[audit["quantizer"] == "pact"], "audit", "Audit", Roles())
    assert "outputs" not in without.text
    assert not any("placement=full" in note for note in without.notes)


def test_a_control_without_integers_covers_no_layer(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    plan = {"sites": [], "skipped": [["conv", "frozen"], ["fc", "rule"]], "parameters": [], "frozen": ["conv.weight"]}
    store.write(make(quantizer="freeze", rows={"iid": 0.5}, audit={"conv": site()}, plan=plan))
    assert audit_table(load(store.root).audit, "audit", "Audit", Roles()).text.iloc[0]["coverage"] == "0/2"


def test_integer_arithmetic_needs_no_such_note(
    store: RunStore, make: Make, make_latency: Callable[..., Latency]
) -> None:
    record = make(quantizer="lsq", rows={"iid": 0.5})
    store.write(record)
    store.write_latency(make_latency(record, "onnxruntime", "int8"))
    assert FLOAT_ARITHMETIC not in latency_table(load(store.root).latency, "latency", "Latency").notes


def test_latency_carries_the_label_that_tells_its_cell_apart(
    store: RunStore, make: Make, make_latency: Callable[..., Latency]
) -> None:
    for ratio in (0.1, 1.0):
        settings = {"quantizer": {"name": "lsq", "options": {"lr_ratio": ratio}}}
        record = make(quantizer="lsq", rows={"iid": 0.5}, settings=settings)
        store.write(record)
        store.write_latency(make_latency(record, median_ms=ratio))
    latency = load(store.root).latency.set_index("quantizer")["median_ms"]
    assert latency.to_dict() == {"lsq (lr_ratio=0.1)": 0.1, "lsq (lr_ratio=1.0)": 1.0}


def test_audit_takes_medians_over_sites_and_counts_them(golden: RunStore) -> None:
    table = audit_table(load(golden.root).audit, "audit", "Audit", Roles())
    line = table.numbers.iloc[0]
    assert (line["levels"], line["noise"], line["scale_moved"]) == pytest.approx((53, 0.058, 0.2))
    text = table.text.iloc[0]
    assert (text["coverage"], text["sites moved"], text["cells"]) == ("2/3", "12/12", "6")


def test_the_share_of_dead_weights_is_shown_where_a_method_leaves_some(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    shares = {f"conv{i}": site(dead=share) for i, share in enumerate((0.1, 0.2, 0.4))}
    store.write(make(quantizer="torchao_intx", rows={"iid": 0.5}, audit=shares))
    store.write(make(quantizer="lsq", rows={"iid": 0.5}, audit={"conv0": site()}))
    text = audit_table(load(store.root).audit, "audit", "Audit", Roles()).text.set_index("quantizer")["dead"]
    assert (text["torchao_intx"], text["lsq"]) == ("20.00%", DASH)


def test_a_layer_that_fails_behind_the_medians_is_named(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    """PACT, layer 0, as users met it: noise .27 and 16 % saturated behind medians of .017 and .17 %."""
    fine = site(noise_to_signal=0.017, saturation=0.0017)
    audit = {"featurizer.0": site(noise_to_signal=0.27, saturation=0.16), "conv2": fine, "conv3": fine}
    store.write(make(quantizer="pact", rows={"iid": 0.5}, audit=audit))
    store.write(make(quantizer="pact", seed=1, rows={"iid": 0.5}, audit={"conv2": fine, "conv3": fine}))
    store.write(make(quantizer="lsq", rows={"iid": 0.5}, audit={n: site(noise_to_signal=0.3) for n in audit}))
    table = audit_table(load(store.root).audit, "audit", "Audit", Roles())
    text = table.text.set_index("quantizer").loc["pact"]
    assert (text["noise / signal"], text["worst noise"]) == ("0.0170", "0.2700")
    assert (text["saturated"], text["worst saturated"]) == ("0.17%", "16.00%")
    warnings = [note for note in table.notes if note.startswith("Warning")]
    assert warnings == [
        (
            "Warning: erm pact W7: layer featurizer.0 has noise / signal 0.27, the median of the others 0.017, in 1 of 2 "
            "cells (said above 0.1 and 4 times the others)."
        ),
        (
            "Warning: erm pact W7: layer featurizer.0 has a share saturated of 0.16, the median of the others 0.0017, in 1 "
            "of 2 cells (said above 0.05 and 4 times the others)."
        ),
    ]
    assert table.notes[0] == warnings[0]


def test_audit_without_learned_scales_shows_a_dash(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    audit = {"conv": site(scale_moved=None, weight_moved=0.0)}
    store.write(make(quantizer="round_freeze", rows={"iid": 0.5}, audit=audit))
    text = audit_table(load(store.root).audit, "audit", "Audit", Roles()).text.iloc[0]
    assert (text["scale moved"], text["sites moved"]) == ("—", "0/1")


def test_audits_of_version_0_3_are_read_under_their_old_names(
    store: RunStore, make: Make, site: Callable[..., dict[str, float | int | None]]
) -> None:
    now = site(scale_moved=0.25)
    before = {{"scale_moved": "steps_moved", "scale_gradient": "step_gradient"}.get(n, n): v for n, v in now.items()}
    for quantizer, audit in (("lsq", now), ("pact", before)):
        store.write(make(quantizer=quantizer, rows={"iid": 0.5}, audit={"conv": audit}))
    text = audit_table(load(store.root).audit, "audit", "Audit", Roles()).text
    assert text["scale moved"].tolist() == ["25.00%", "25.00%"]
