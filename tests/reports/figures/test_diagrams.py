"""What the page's drawings say, by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.figures import line_charts as lines
from quantdg.reports.figures import svg
from quantdg.reports.figures.critical_difference import critical_difference, groups
from quantdg.reports.figures.forest import forest
from quantdg.reports.figures.pareto import Point, frontier, pareto
from quantdg.reports.frames.cube import Cube
from quantdg.reports.frames.results import load
from quantdg.reports.stats.ranking import Ranking

Make = Callable[..., Record]


def test_frontier_keeps_what_nothing_beats_in_both() -> None:
    a, b, c, d = Point("a", 1, 70), Point("b", 2, 69), Point("c", 3, 80), Point("d", 3, 75)
    assert frontier([d, c, b, a]) == [a, c]


def test_groups_join_ranks_within_the_critical_difference() -> None:
    ranking = Ranking(np.array([1.0, 1.5, 2.4, 4.0]), 0.01, 1.0, np.ones((4, 4)), 8)
    assert groups(ranking) == [(1.0, 1.5), (1.5, 2.4)]


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.31, 0.29, [-0.3, -0.2, -0.1, 0, 0.1, 0.2])]
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == pytest.approx(expected)


def test_scale_maps_ends_into_the_range_and_survives_equal_values() -> None:
    for values in ([1.0, 3.0], [2.0, 2.0], [0.0]):
        low, high, factor, offset = svg.scale(values, 100, 500)
        assert (offset + factor * low, offset + factor * high) == pytest.approx((100, 500))
        assert all(100 < offset + factor * v < 500 for v in values)


def test_forest_places_marks_on_the_axis(golden: RunStore) -> None:
    drawn = forest(Cube.of(load(golden.root).cells), "iid", "title")
    assert drawn is not None
    marks = {part.title: part.x for part in drawn.body if isinstance(part, svg.Mark)}
    (zero,) = (part.x1 for part in drawn.body if isinstance(part, svg.Line) and part.kind == "zero")
    (mean,) = (part.x1 for part in drawn.body if isinstance(part, svg.Line) and part.kind == "mean")
    (bar,) = (part for part in drawn.body if isinstance(part, svg.Line) and part.kind == "interval")
    point = marks["art: +1.00 points"] - zero
    assert marks["sketch: +3.00 points"] - zero == pytest.approx(3 * point)
    assert mean - zero == pytest.approx(2 * point)
    assert bar.x2 - bar.x1 == pytest.approx(2 * 12.7062 * point, rel=1e-5)  # t(0.975, 1) * se 1
    assert forest(Cube.of(load(golden.root).cells), "no such rule", "title") is None


def test_no_mean_where_a_domain_is_incomplete(golden: RunStore) -> None:
    gone = next(r for r in golden.records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    golden.cell_path(gone.key).unlink()
    drawn = forest(Cube.of(load(golden.root).cells), "iid", "title")
    assert drawn is not None
    assert not [part for part in drawn.body if isinstance(part, svg.Line) and part.kind == "mean"]
    assert "incomplete" in [part.text for part in drawn.body if isinstance(part, svg.Label)]


def test_pareto_of_nothing_is_empty() -> None:
    assert pareto([], "bytes", "title") is None
    assert pareto([Point("a", 0, 50)], "bytes", "title") is None


def test_critical_difference_needs_three_methods(golden: RunStore) -> None:
    assert critical_difference(Cube.of(load(golden.root).cells), "iid", 0.05, "title") is None


def test_gain_by_bits_joins_the_widths_of_one_quantizer(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 0.5}))
    for bits, value in (("W7", 0.52), ("W4", 0.47), ("W4A8", 0.4)):
        store.write(make(quantizer="lsq", rows={"iid": value}, bits=bits))
    found = lines.by_bits(Cube.of(load(store.root).cells), "iid")
    assert found == {"erm lsq": [(4.0, pytest.approx(-3)), (7.0, pytest.approx(2))]}


def test_gain_by_noise_takes_the_audit(golden: RunStore) -> None:
    results = load(golden.root)
    found = lines.by_noise(Cube.of(results.cells), "iid", results.audit)
    assert found == {"erm lsq": [(0.058, pytest.approx(2))]}


def test_training_curves_are_means_over_targets_and_seeds(store: RunStore, make: Make) -> None:
    for seed, value in enumerate((0.2, 0.4)):
        curve = [{"step": s, "train_loss": 1.0, "source_acc": 0.9, "target_out": value + s / 1000} for s in (50, 100)]
        store.write(make(seed=seed, rows={"iid": 0.5}, curve=curve))
    results = load(store.root)
    found = lines.over_steps(Cube.of(results.cells), "iid", results.curves)
    assert found["target_out"] == {"erm float": [(50.0, pytest.approx(35)), (100.0, pytest.approx(40))]}
    assert found["source_acc"] == {"erm float": [(50.0, pytest.approx(90)), (100.0, pytest.approx(90))]}


def test_no_curve_of_a_method_where_one_cell_has_none(store: RunStore, make: Make) -> None:
    curve = [{"step": 50, "source_acc": 0.9, "target_out": 0.5}]
    for seed in range(2):
        store.write(make(seed=seed, rows={"iid": 0.5}, curve=curve))
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, curve=curve[seed:]))
    results = load(store.root)
    assert list(lines.over_steps(Cube.of(results.cells), "iid", results.curves)["target_out"]) == ["erm float"]


def test_noise_starts_at_insertion_and_is_a_mean_over_layers_and_cells(store: RunStore, make: Make) -> None:
    curve = [{"step": s, "source_acc": 0.9, "target_out": 0.5} for s in (50, 100)]
    for seed, extra in enumerate((0.0, 0.02)):
        noise = {"a": [0.1, 0.2, 0.3], "b": [0.3 + extra, 0.4, 0.5]}
        settings = {"protocol": {"name": "small", "start_step": 40}}
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, curve=curve, noise=noise, settings=settings))
    results = load(store.root)
    found = lines.over_steps(Cube.of(results.cells), "iid", results.curves)["noise"]
    assert found == {
        "erm lsq W7": [(40.0, pytest.approx(0.205)), (50.0, pytest.approx(0.3)), (100.0, pytest.approx(0.4))]
    }


def test_flatness_curves_are_means_over_cells(store: RunStore, make: Make) -> None:
    for seed, rise in enumerate((0.1, 0.3)):
        measured = {
            "settings": {"radii": [0.01, 0.02], "rhos": [0.05]},
            "deployed": {"local_source": [rise, 4 * rise], "local_target": [2 * rise, None], "sam_source": [9.0]},
            "latent": {"local_source": [7.0, 7.0], "local_target": [7.0, 7.0]},
        }
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, flatness=measured))
    flatness = load(store.root).flatness
    assert lines.rises(flatness, "source") == {"erm lsq W7": [(0.01, pytest.approx(0.2)), (0.02, pytest.approx(0.8))]}
    assert lines.rises(flatness, "target") == {"erm lsq W7": [(0.01, pytest.approx(0.4))]}


def test_chart_says_how_many_lines_it_leaves_out() -> None:
    series = {f"n{i}": [(0.0, float(i)), (1.0, 2.0)] for i in range(15)}
    drawn = lines.chart(series, "x", "y", "title", "said.")
    assert drawn is not None
    assert "The first 12 of 15 lines." in drawn.caption
    looks = {(part.colour, part.outline) for part in drawn.body if isinstance(part, svg.Mark)}
    assert len(looks) == 12
    assert lines.chart({"a": [(0.0, float("nan"))]}, "x", "y", "title", "said") is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1.1, 2.1, [0.1, 1, 10, 100]),
        (5.8, 6.5, [1e6, 2e6, 3e6]),
        (1.0, 3.0, [10, 100, 1000]),
        (2.9, 4.2, [1000, 2000, 5000, 1e4]),
    ],
)
def test_a_logarithmic_axis_has_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert svg.log_ticks(low, high) == pytest.approx(expected)


def test_labels_of_methods_that_nearly_meet_stay_apart() -> None:
    points = [Point(f"m{i}", 100.0 + i, 50 + 0.01 * i) for i in range(6)] + [Point("far", 1e4, 60.0)]
    drawn = pareto(points, "bytes", "t")
    assert drawn is not None
    heights = sorted(part.y for part in drawn.body if isinstance(part, svg.Label) and part.text.startswith("m"))
    assert len(heights) == 6
    assert min(b - a for a, b in pairwise(heights)) >= 13
