"""The main table against numbers worked out by hand.

float art 80 82 84 (mean 82, sd 2), sketch 60 60 66 (mean 62, sd sqrt 12); lsq art 81 83 85, sketch 63 64 68.
Seed averages of float: 70, 71, 75; mean 72, sd sqrt 7. Gains: art 1 1 1, sketch 3 4 2; domain means 1 and 3.
"""

from __future__ import annotations

from math import sqrt

import pytest
from pytest import approx

from quantdg.bench.results.store import RunStore
from quantdg.reports.frames import gains
from quantdg.reports.frames.cube import Cube
from quantdg.reports.frames.results import load
from quantdg.reports.tables import accuracy

Numbers = dict[tuple[str, str, str], tuple[float, float, int]]


@pytest.fixture
def numbers(golden: RunStore) -> Numbers:
    """(quantizer, what, target) -> (mean, se, n) of the iid rows."""
    lines = accuracy.numbers_of(Cube.of(load(golden.root).cells))
    return {(x.method[1], x.what, x.target): (x.mean, x.se, x.n) for x in lines if x.method[3] == "iid"}


def test_mean_and_standard_error_over_seeds(numbers: Numbers) -> None:
    assert numbers["float", "accuracy", "art"] == approx((82, 2 / sqrt(3), 3))
    assert numbers["float", "accuracy", "sketch"] == approx((62, sqrt(12) / sqrt(3), 3))


def test_average_has_the_error_of_the_seeds_averages(numbers: Numbers) -> None:
    assert numbers["float", "average", ""] == approx((72, sqrt(7) / sqrt(3), 3))


def test_gain_pairs_target_and_seed_with_the_error_over_domain_means(numbers: Numbers) -> None:
    assert numbers["lsq", "gain over float", ""] == approx((2.0, sqrt(2) / sqrt(2), 6))
    assert ("float", "gain over float", "") not in numbers


def test_text(golden: RunStore) -> None:
    table = accuracy.accuracy_table(load(golden.root).cells, "accuracy", "Accuracy")
    lines = table.text.set_index(["quantizer", "selection"]).loc[("lsq", "iid")].to_dict()
    assert lines["art"] == "83.0 ± 1.2"
    assert lines["average"] == "74.0 ± 1.3"
    assert lines["gain over float"] == "+2.00 ± 1.00"
    assert lines["pairs"] == "6"
    assert list(table.text["selection"]) == ["iid", "iid", "oracle", "oracle"]


def test_every_number_is_traceable_to_its_record(golden: RunStore) -> None:
    cells = load(golden.root).cells
    cube = Cube.of(cells)
    keys = cells.set_index(["quantizer", "target", "seed", "selection"])["key"]
    method = cube.methods.index(("erm", "lsq", "W7", "iid"))
    assert cube.keys[method, cube.targets.index("sketch"), 2] == keys["lsq", "sketch", 2, "iid"]


def test_paired_differences(golden: RunStore) -> None:
    cube = Cube.of(load(golden.root).cells)
    ((method, gained),) = gains.over_float(cube, "iid")
    assert method == ("erm", "lsq", "W7", "iid")
    assert gained.tolist() == [approx([1, 1, 1]), approx([3, 4, 2])]
