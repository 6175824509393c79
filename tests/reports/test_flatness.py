"""Flatness in the report: numbers worked out by hand, targets never mixed, a null that is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from quantdg.bench.records import Record, Row
from quantdg.reports.flatness import FEWEST, FLATNESS, correlate, correlation_table, flatness_rows, flatness_table
from quantdg.reports.order import METHOD

Make = Callable[..., Record]
MEASURED: dict[str, Any] = {
    "settings": {"radii": [0.01, 0.02], "rhos": [0.05]},
    "deployed": {
        "local_source": [0.1, 0.4],
        "local_target": [0.2, None],
        "sam_source": [0.3],
        "trace_source": {"mean": 40.0, "se": 2.0},
        "top_source": {"value": 9.0, "residual": 0.01, "iterations": 5},
        "tangent_target": {"value": -3.5, "rank": 4, "rows": 5},
    },
    "latent": {"local_source": [0.15, 0.5], "local_target": [0.25, 0.9]},
}


def measured(record: Record, flatness: dict[str, Any], sources: tuple[float, ...] = (0.9, 0.8)) -> Record:
    """The record with flatness and these source accuracies in its iid row."""
    rows = {
        name: replace(row, source_out={f"s{i}": value for i, value in enumerate(sources)})
        for name, row in record.rows.items()
    }
    return replace(record, rows=rows, flatness=flatness)


def frame(rows: list[dict[str, Any]], **labels: str) -> pd.DataFrame:
    method = {"algorithm": "erm", "quantizer": "lsq", "bits": "W7", **labels}
    return pd.DataFrame([{**method, **row} for row in rows], columns=["key", *METHOD, *FLATNESS])


def test_rows_of_a_record(make: Make) -> None:
    record = measured(make("art", rows={"iid": 0.6, "oracle": 0.7}), MEASURED)
    rows = flatness_rows(record)
    assert [row["gap"] for row in rows] == pytest.approx([100 * ((0.9 + 0.8) / 2 - 0.6)] * 11)
    found = {(row["weights"], row["measure"], row["place"]): row["value"] for row in rows}
    assert found == {
        ("deployed", "F(0.01)", "source"): 0.1,
        ("deployed", "F(0.02)", "source"): 0.4,
        ("deployed", "F(0.01)", "target"): 0.2,  # the other one was not finite
        ("deployed", "SAM(0.05)", "source"): 0.3,
        ("deployed", "trace", "source"): 40.0,
        ("deployed", "top eigenvalue", "source"): 9.0,
        ("deployed", "log det K", "target"): -3.5,
        ("latent", "F(0.01)", "source"): 0.15,
        ("latent", "F(0.02)", "source"): 0.5,
        ("latent", "F(0.01)", "target"): 0.25,
        ("latent", "F(0.02)", "target"): 0.9,
    }


def test_records_without_flatness_have_no_rows(make: Make) -> None:
    assert flatness_rows(make(rows={"iid": 0.6})) == []
    assert flatness_rows(measured(make(rows={}, status="failed"), MEASURED)) == []
    no_source: Row = replace(make(rows={"iid": 0.6}).rows["iid"], source_out={})
    assert flatness_rows(replace(measured(make(rows={"iid": 0.6}), MEASURED), rows={"iid": no_source})) == []


def test_the_table_has_means_over_cells(make: Make) -> None:
    rows = []
    for seed, value in enumerate((0.1, 0.3)):
        found = {**MEASURED, "deployed": {**MEASURED["deployed"], "local_source": [value, 2 * value]}}
        rows += flatness_rows(measured(make(seed=seed, rows={"iid": 0.6}), found))
    table = flatness_table(frame(rows), "flatness", "Flatness")
    line = table.numbers.set_index(["weights", "measure"]).loc[("deployed", "F(0.02)")]
    assert (line["on the source"], line["n"]) == (pytest.approx(0.4), 2)
    assert np.isnan(line["on the target"])
    text = table.text.set_index(["weights", "measure"]).loc[("deployed", "F(0.02)")]
    assert (text["on the source"], text["on the target"], text["cells"]) == ("0.4", "—", "2")
    measures = ["F(0.01)", "F(0.02)", "SAM(0.05)", "trace", "top eigenvalue", "log det K"]
    assert list(table.text["measure"]) == [*measures, "F(0.01)", "F(0.02)"]
    assert list(table.text["weights"]) == ["deployed"] * 6 + ["latent"] * 2


def test_correlations_within_targets_and_their_mean() -> None:
    strata = np.array(["a"] * 5 + ["b"] * 4)
    x = np.array([1.0, 2, 3, 4, 5, 10, 20, 30, 40])
    y = np.array([1.0, 3, 2, 5, 9, 8, 6, 7, 1])
    found = correlate(x, y, strata)
    parts = [(x[:5], y[:5]), (x[5:], y[5:])]
    assert found.pearson == pytest.approx(np.mean([pearsonr(a, b).statistic for a, b in parts]))
    assert found.spearman == pytest.approx(np.mean([spearmanr(a, b).statistic for a, b in parts]))
    assert found.spearman == pytest.approx((0.9 + -0.8) / 2)  # by hand: 1 - 6 d^2 / (n (n^2 - 1)), d^2 = 2 and 18
    assert (found.strata, found.cells) == (2, 9)


def test_a_hard_target_makes_no_correlation() -> None:
    """Sharp and with a large gap as a target, but within each target the other way round."""
    strata = np.repeat(["easy", "hard"], 6)
    x = np.concatenate([np.arange(6.0), 100 + np.arange(6.0)])
    y = np.concatenate([-np.arange(6.0), 100 - np.arange(6.0)])
    assert pearsonr(x, y).statistic > 0.9
    assert correlate(x, y, strata).pearson == pytest.approx(-1)


def test_p_is_the_share_of_permutations() -> None:
    x = np.arange(4.0)
    found = correlate(x, x, np.zeros(4), draws=20_000)
    exact = 2 / 24  # of the 24 orders of 4 values only two are as far from 0: |r| = 1
    assert found.spearman == pytest.approx(1)
    assert found.spearman_p == pytest.approx(exact, abs=0.01)
    assert correlate(x, x, np.zeros(4), draws=99).spearman_p >= 1 / 100


def test_p_is_right_under_the_null_whatever_the_targets_do() -> None:
    generator = np.random.default_rng(0)
    strata = np.repeat(np.arange(3), 6)
    rejected = 0
    for _ in range(400):
        shift = generator.normal(size=3)[strata] * 10
        x, y = generator.normal(size=18) + shift, generator.normal(size=18) + shift
        rejected += correlate(x, y, strata, draws=199).spearman_p <= 0.05
    assert 0.02 <= rejected / 400 <= 0.085


def test_targets_that_say_nothing_are_left_out() -> None:
    few = FEWEST - 1
    strata = np.array(["a"] * 5 + ["few"] * few + ["constant"] * 5)
    x = np.concatenate([np.arange(5.0), np.arange(float(few)), np.ones(5)])
    y = np.concatenate([np.arange(5.0), -np.arange(float(few)), np.arange(5.0)])
    found = correlate(x, y, strata)
    assert (found.pearson, found.strata, found.cells) == (pytest.approx(1), 1, 5)
    nothing = correlate(x[5:], y[5:], strata[5:])
    assert np.isnan([nothing.spearman, nothing.pearson_p]).all()
    assert (nothing.strata, nothing.cells) == (0, 0)


def test_the_correlation_table_does_not_depend_on_the_order_of_rows(make: Make) -> None:
    rows = []
    for i in range(6):
        found = {**MEASURED, "deployed": {**MEASURED["deployed"], "sam_source": [0.1 * i]}}
        rows += flatness_rows(measured(make(seed=i, rows={"iid": 0.6 - 0.05 * i}), found))
    table = correlation_table(frame(rows), "correlation", "Flatness and gap")
    text = table.text.set_index(["weights", "measure", "place"])
    sam = text.loc[("deployed", "SAM(0.05)", "source")]
    assert (sam["Spearman r"], sam["Pearson r"], sam["targets"], sam["cells"]) == ("+1.00", "+1.00", "1", "6")
    assert float(sam["Spearman p"]) < 0.02
    assert len(set(table.traces.values())) == 1
    assert table.traces[0, "cells"] == tuple(sorted(row["key"] for row in rows if row["measure"] == "trace"))
    assert text.loc[("deployed", "trace", "source"), "Spearman r"] == "—"  # the same in every cell
    again = correlation_table(frame(rows[::-1]), "correlation", "Flatness and gap")
    assert again.text.set_index(["weights", "measure", "place"]).loc[("deployed", "SAM(0.05)", "source")].equals(sam)


def test_it_needs_no_torch() -> None:
    code = "import sys, quantdg.reports.flatness; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
