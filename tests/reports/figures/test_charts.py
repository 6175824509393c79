"""What the figures say: their rows by hand, and their specifications."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.answer.answer import answer_of
from quantdg.reports.answer.matrix import matrix_of
from quantdg.reports.figures import critical_difference, flatness, forest, gain_curves, pareto, training
from quantdg.reports.figures.drawing import Drawing
from quantdg.reports.figures.fields import Field, fields
from quantdg.reports.figures.rendering import drawing_of, drawn_files
from quantdg.reports.frames.columns import METHOD
from quantdg.reports.frames.results import load
from quantdg.reports.report import Report
from quantdg.reports.stats.ranking import Ranking

Make = Callable[..., Record]
QUANTIZERS = ("float", "freeze", "lsq", "pact")


def drawn(store: RunStore, draw: Callable[..., Iterator[Any]]) -> list[Drawing]:
    return [drawing_of(chart, "x") for chart in draw(load(store.root))]


def rows_of(drawing: Drawing) -> list[dict[str, Any]]:
    return [row for rows in drawing.spec["datasets"].values() for row in rows]


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification but the data."""
    if isinstance(spec, dict):
        yield spec
        for key, value in spec.items():
            if key != "datasets":
                yield from parts(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from parts(value)


def only(store: RunStore) -> Field:
    (field,) = fields(load(store.root))
    return field


@pytest.fixture
def wide(store: RunStore, make: Make) -> RunStore:
    """Two data sets, two algorithms, three domains each."""
    draw = np.random.default_rng(0)
    for dataset in ("pacs", "vlcs"):
        for algorithm in ("erm", "coral"):
            for target in ("a", "b", "c"):
                for quantizer in QUANTIZERS:
                    value = float(draw.integers(3, 8)) / 8
                    store.write(make(target, 0, algorithm, quantizer, {"iid": value, "swad": value}, dataset=dataset))
    return store


def test_the_forest_has_the_numbers_of_the_verdict(wide: RunStore) -> None:
    report = Report.of(wide.root)
    answer = answer_of(report.verdict, report.results)
    assert answer is not None
    found = matrix_of(answer.scope, report.results)
    first = report.drawings[0]
    assert first.name == "figure-gain-cnn-small"
    rows = [row for row in rows_of(first) if row.get("selection") == "iid" and "mean" in row]
    assert len(rows) == 2 * (len(QUANTIZERS) - 1)
    for row in rows:
        of = found.controls if row["method"].startswith("control ") else found.methods
        entry = of[row["method"].removeprefix("control ")][row["panel"]]
        assert (row["mean"], row["low"], row["high"]) == (entry.mean, entry.low, entry.high)
    assert {row["zero"]: (row["low"], row["high"]) for row in rows_of(first) if "zero" in row} == {0: (-0.5, 0.5)}


def test_the_forest_has_a_mark_for_each_domain(golden: RunStore) -> None:
    (drawing,) = drawn(golden, forest.gain_figures)
    marks = {row["domain"]: row["gain"] for row in rows_of(drawing) if "gain" in row}
    assert marks == {"art": pytest.approx(1), "sketch": pytest.approx(3)}
    (mean,) = [row for row in rows_of(drawing) if "mean" in row]
    assert mean["mean"] == pytest.approx(2)
    assert mean["high"] - mean["low"] == pytest.approx(2 * 12.7062, rel=1e-5)  # t(0.975, 1) * se 1


def forest_rows(*means: float) -> list[dict[str, Any]]:
    named = [{"panel": "erm", "selection": "iid", "method": f"m{i}"} for i in range(len(means))]
    marks = [{**own, "domain": "a", "gain": mean - 1} for own, mean in zip(named, means, strict=True)]
    return marks + [
        {**own, "mean": mean, "low": mean - 2, "high": mean + 2} for own, mean in zip(named, means, strict=True)
    ]


def test_a_row_far_out_is_written_at_the_end_of_the_axis() -> None:
    """Quartiles of -60, -3, -1, 0, 1: -3 and 0; outer fences -12 and 9. Without -60 the axis is -5 to 3 in place of -62 to 3."""
    far = {(row["method"], row["far"]) for row in forest.cut(forest_rows(-60, -3, -1, 0, 1)) if "far" in row}
    assert far == {("m0", "◄ -60.00")}
    assert {row["far"] for row in forest.cut(forest_rows(45.5, -3, -1, 0, 1)) if "far" in row} == {"+45.50 ►"}


@pytest.mark.parametrize("means", [(-9, -3, -1, 0, 1), (-2, -0.1, 0, 0, 0.1), (1,), ()])
def test_an_axis_that_is_a_third_full_or_has_no_row_far_out_is_not_cut(means: tuple[float, ...]) -> None:
    rows = forest_rows(*means)
    assert forest.cut(rows) == rows


def test_what_is_far_out_does_not_stretch_the_axis(store: RunStore, make: Make) -> None:
    for target in ("a", "b", "c"):
        store.write(make(target, rows={"iid": 0.7}))
        for quantizer, gain in (("lsq", 0.01), ("pact", 0.0), ("apot", -0.01), ("ewgs", 0.02), ("dorefa", -0.6)):
            store.write(make(target, quantizer=quantizer, rows={"iid": 0.7 + gain}))
    (drawing,) = drawn(store, forest.gain_figures)
    (drawn_file,) = drawn_files(drawing).values()
    assert "◄ -60.00" in drawn_file
    assert "−60" not in drawn_file  # a label of the axis has a minus sign
    assert drawing.caption.endswith("◄ ►: a mean beyond the end of the axis.")


def test_no_mean_where_a_domain_is_incomplete(golden: RunStore) -> None:
    gone = next(r for r in golden.records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    golden.cell_path(gone.key).unlink()
    (drawing,) = drawn(golden, forest.gain_figures)
    assert not [row for row in rows_of(drawing) if "mean" in row]
    assert [row["state"] for row in rows_of(drawing) if "state" in row] == ["incomplete"]


def test_one_figure_for_all_data_sets_and_choices(wide: RunStore) -> None:
    drawings = Report.of(wide.root).drawings
    assert [d.name for d in drawings] == ["figure-gain-cnn-small", "figure-ranks-cnn-small"]
    gain, ranks = drawings
    assert [name for name, _, _ in gain.files()] == ["figure-gain-cnn-small-iid", "figure-gain-cnn-small-swad"]
    assert len(ranks.spec["vconcat"]) == 2
    assert gain.heading == "Gain over float: pacs + vlcs, cnn, small"
    json.dumps([d.spec for d in drawings], allow_nan=False)


def test_every_axis_says_what_it_shows_and_no_legend_drops_a_method(golden: RunStore) -> None:
    drawings = Report.of(golden.root).drawings
    assert len(drawings) >= 4
    for drawing in drawings:
        channels = [part["encoding"] for part in parts(drawing.spec) if "encoding" in part]
        assert channels
        titles = {
            channel: {enc[channel].get("title") for enc in channels if channel in enc and enc[channel].get("title")}
            for channel in ("x", "y")
        }
        assert titles["x"], drawing.name
        assert titles["y"] or "method" in {enc.get("y", {}).get("field") for enc in channels}, drawing.name
        assert any("tooltip" in enc for enc in channels), drawing.name
        for enc in channels:
            if enc.get("color", {}).get("field") == "quantizer":
                shown = {row["quantizer"] for row in rows_of(drawing) if "quantizer" in row}
                assert shown <= {*enc["color"]["scale"]["domain"]}
                assert {*enc["color"]["legend"]["values"]} == shown


def test_size_and_latency_keep_what_nothing_beats_in_both(store: RunStore, make: Make) -> None:
    for quantizer, value in zip(QUANTIZERS, (0.75, 0.5, 1.0, 0.875), strict=True):
        store.write(make(quantizer=quantizer, rows={"iid": value}))
    results = load(store.root)
    cost = results.cells[METHOD].assign(bytes=results.cells["quantizer"].map(dict(zip(QUANTIZERS, (1, 2, 3, 3)))))  # noqa: B905
    (field,) = fields(results)
    points = pareto.cost_points(field, field.sections[0], cost, "bytes")
    assert {p["quantizer"] for p in points if p["frontier"]} == {"float", "lsq W7"}
    assert {p["quantizer"]: p["accuracy"] for p in points}["pact W7"] == 87.5
    nothing = cost.assign(bytes=0)
    assert pareto.cost_points(field, field.sections[0], nothing, "bytes") == []


def test_latency_is_one_figure_with_a_file_for_each_setting(golden: RunStore, make_latency: Callable[..., Any]) -> None:
    record = next(r for r in golden.records() if isinstance(r, Record))
    golden.write_latency(make_latency(record, batch=32))
    (drawing,) = drawn(golden, pareto.latency_figures)
    assert [words for _, words, _ in drawing.files()] == [
        "measured torch eager, batch 1, 2 threads",
        "measured torch eager, batch 32, 2 threads",
    ]
    for name, words, spec in drawing.files():
        (fixed,) = [p for p in spec["params"] if p["name"] == "shown_measured"]
        assert "bind" not in fixed
        assert words.endswith(fixed["value"])
        assert name.startswith("figure-latency-pacs-cnn-small-torch-eager-batch-")


def test_gain_by_bits_joins_the_widths_of_one_quantizer(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 0.5}))
    for bits, value in (("W7", 0.52), ("W4", 0.47), ("W4A8", 0.4)):
        store.write(make(quantizer="lsq", rows={"iid": value}, bits=bits))
    found = {row["bits"]: row["gain"] for row in gain_curves.by_bits(only(store))}
    assert found == {4: pytest.approx(-3), 7: pytest.approx(2)}
    (drawing,) = drawn(store, gain_curves.gain_by_bits_figures)
    (drawn_file,) = drawn_files(drawing).values()
    assert ">5<" in drawn_file and "4.5" not in drawn_file  # there is no half bit


def test_gain_by_noise_takes_the_audit(golden: RunStore) -> None:
    (row,) = gain_curves.by_noise(only(golden))
    assert (row["quantizer"], row["noise"], row["gain"]) == ("lsq", 0.058, pytest.approx(2))


def test_training_curves_are_means_over_targets_and_seeds(store: RunStore, make: Make) -> None:
    for seed, value in enumerate((0.2, 0.4)):
        curve = [{"step": s, "train_loss": 1.0, "source_acc": 0.9, "target_out": value + s / 1000} for s in (50, 100)]
        store.write(make(seed=seed, rows={"iid": 0.5}, curve=curve))
    (drawing,) = drawn(store, training.training_figures)
    found = {(row["measured on"], row["step"]): row["accuracy"] for row in rows_of(drawing)}
    target, source = "target, 20 % part", "source validation"
    expected = {(target, 50): 35, (target, 100): 40, (source, 50): 90, (source, 100): 90}
    assert found == {key: pytest.approx(value) for key, value in expected.items()}


def test_no_curve_of_a_method_where_one_cell_has_none(store: RunStore, make: Make) -> None:
    curve = [{"step": 50, "source_acc": 0.9, "target_out": 0.5}]
    for seed in range(2):
        store.write(make(seed=seed, rows={"iid": 0.5}, curve=curve))
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, curve=curve[seed:]))
    assert {row["quantizer"] for row in training.over_steps(only(store), "target_out")} == {"float"}


def test_noise_starts_at_insertion_and_is_a_mean_over_layers_and_cells(store: RunStore, make: Make) -> None:
    curve = [{"step": s, "source_acc": 0.9, "target_out": 0.5} for s in (50, 100)]
    for seed, extra in enumerate((0.0, 0.02)):
        noise = {"a": [0.1, 0.2, 0.3], "b": [0.3 + extra, 0.4, 0.5]}
        settings = {"protocol": {"name": "small", "start_step": 40}}
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, curve=curve, noise=noise, settings=settings))
    found = {row["step"]: row["noise"] for row in training.over_steps(only(store), "noise")}
    assert found == {40: pytest.approx(0.205), 50: pytest.approx(0.3), 100: pytest.approx(0.4)}


def test_flatness_curves_are_means_over_cells(store: RunStore, make: Make) -> None:
    for seed, rise in enumerate((0.1, 0.3)):
        measured = {
            "settings": {"radii": [0.01, 0.02], "rhos": [0.05]},
            "deployed": {"local_source": [rise, 4 * rise], "local_target": [2 * rise, None], "sam_source": [9.0]},
            "latent": {"local_source": [7.0, 7.0], "local_target": [7.0, 7.0]},
        }
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, flatness=measured))
    found = {(row["place"], row["radius"]): row["rise"] for row in flatness.rises(only(store))}
    expected = {("source", 0.01): 0.2, ("source", 0.02): 0.8, ("target", 0.01): 0.4}
    assert found == {key: pytest.approx(value) for key, value in expected.items()}


def test_flatness_at_one_radius_is_a_line_for_each_quantizer(store: RunStore, make: Make) -> None:
    """Against the radius all would stand above each other."""
    for quantizer, rise in (("float", 0.1), ("lsq", 0.3)):
        measured = {
            "settings": {"radii": [0.01], "rhos": []},
            "deployed": {"local_source": [rise], "local_target": [rise]},
        }
        store.write(make(quantizer=quantizer, rows={"iid": 0.5}, flatness=measured))
    (drawing,) = drawn(store, flatness.flatness_figures)
    (marks,) = [part["encoding"] for part in parts(drawing.spec) if "encoding" in part]
    assert (marks["x"]["field"], marks["x"]["title"]) == ("rise", "F(0.01), rise of the loss, nats")
    assert (marks["y"]["field"], marks["y"]["sort"]) == ("quantizer", ["float", "lsq W7"])


def test_groups_join_ranks_within_the_critical_difference() -> None:
    ranking = Ranking(np.array([1.0, 1.5, 2.4, 4.0]), 0.01, 1.0, np.ones((4, 4)), 8)
    assert critical_difference.groups(ranking) == [(1.0, 1.5), (1.5, 2.4)]


def test_ranks_need_three_methods(golden: RunStore) -> None:
    assert drawn(golden, critical_difference.rank_figures) == []


def test_a_data_set_at_several_severities_is_drawn_one_by_one(store: RunStore, make: Make) -> None:
    for dataset in ("digits@0.5", "digits@1"):
        for quantizer in ("float", "lsq"):
            store.write(make(quantizer=quantizer, rows={"iid": 0.5}, dataset=dataset))
    assert len(drawn(store, forest.gain_figures)) == 2
    (field,) = fields(load(store.root))
    assert field.panel(field.sections[0], "erm") == "digits@0.5, erm"
    assert replace(field, sections=field.sections[:1]).panel(field.sections[0], "erm") == "erm"
