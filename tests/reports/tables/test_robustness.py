"""Relative robustness by the vector of the reference, and pairing with the right float cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.results import load
from quantdg.reports.tables.robustness import robustness_tables
from quantdg.reports.tables.table import Table

Write = Callable[..., None]


@pytest.fixture
def write(store: RunStore, make: Callable[..., Record]) -> Write:
    """Store a cell with these accuracies on source validation and target."""

    def _write(source: float, accuracy: float, target: str = "art", **labels: object) -> None:
        record = make(target, rows={"iid": accuracy, "oracle": 0.99}, **labels)
        iid = replace(record.rows["iid"], source_out={"photo": source - 0.02, "cartoon": source + 0.02})
        store.write(replace(record, rows={**record.rows, "iid": iid}))

    return _write


def table_of(store: RunStore) -> Table:
    (table,) = robustness_tables(load(store.root))
    return table


def test_the_vector_of_the_reference(store: RunStore, write: Write) -> None:
    """A_N .8, A_C .6: RSG .25; quantized .76 and .5: delta .05 at home, .16667 abroad, Vuln_add .11667."""
    write(0.8, 0.6)
    write(0.76, 0.5, quantizer="lsq")
    table = table_of(store)
    lsq = table.numbers.set_index("quantizer").loc["lsq"]
    found = [float(lsq[c]) for c in ("RSG", "delta sources", "delta targets", "delta art", "Vuln_add")]
    assert found == pytest.approx([0.26 / 0.76, 0.05, 0.1 / 0.6, 0.1 / 0.6, 0.1166667], abs=1e-6)
    text = table.text.set_index("quantizer")
    assert text.loc["float", ["RSG", "Vuln_add", "delta art", "pairs"]].tolist() == ["25.00%", "—", "—", "0"]
    assert text.loc["lsq", ["Vuln_add", "delta sources", "pairs"]].tolist() == ["11.67%", "5.00%", "1"]


def test_losses_are_of_the_float_cell_of_the_same_algorithm_target_and_seed(store: RunStore, write: Write) -> None:
    write(0.8, 0.5)
    write(0.8, 0.4, seed=1)
    write(0.8, 0.9, "sketch")
    write(0.8, 0.6, algorithm="vrex")
    write(0.8, 0.6, quantizer="lsq")
    write(0.8, 0.2, quantizer="lsq", seed=1)
    write(0.8, 0.45, "sketch", quantizer="lsq")
    write(0.8, 0.3, "sketch", quantizer="lsq", seed=1)  # its float cell is missing
    numbers = table_of(store).numbers.set_index(["algorithm", "quantizer"])
    lsq = numbers.loc[("erm", "lsq")]
    assert (lsq["delta art"], lsq["delta sketch"]) == pytest.approx(((-0.2 + 0.5) / 2, 0.5))
    assert lsq["delta targets"] == lsq["Vuln_add"] == pytest.approx((-0.2 + 0.5 + 0.5) / 3)
    assert (lsq["cells"], lsq["pairs"]) == (4, 3)
    assert np.isnan(numbers.loc[("vrex", "float"), "delta targets"])


def test_accuracies_of_zero_and_cells_without_a_result_give_no_number(store: RunStore, write: Write) -> None:
    write(0.8, 0.0)
    write(0.8, 0.1, quantizer="lsq")
    table = table_of(store)
    assert table.text.set_index("quantizer").loc["lsq", ["delta art", "delta sources"]].tolist() == ["—", "0.00%"]


def test_failed_cells_are_left_out(store: RunStore, write: Write, make: Callable[..., Record]) -> None:
    write(0.8, 0.6)
    store.write(make(quantizer="lsq", status="failed", reason="x"))
    assert list(robustness_tables(load(store.root))) == []  # nothing to compare with float
    write(0.8, 0.6, quantizer="pact")
    assert table_of(store).numbers["quantizer"].tolist() == ["float", "pact"]
