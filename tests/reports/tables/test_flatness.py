"""Flatness in the report: numbers worked out by hand, targets never mixed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdg.bench.results.record import Record, Row
from quantdg.reports.frames.columns import METHOD
from quantdg.reports.frames.flatness_rows import FLATNESS, flatness_rows
from quantdg.reports.frames.roles import Roles
from quantdg.reports.tables.flatness import correlation_table, flatness_table

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
        "iic_target": {"log_distance": 2.0, "log_det": -3.5, "log_rows": -1.6, "value": -3.1, "rank": 4, "rows": 5},
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
    assert [row["gap"] for row in rows] == pytest.approx([100 * ((0.9 + 0.8) / 2 - 0.6)] * 13)
    found = {(row["weights"], row["measure"], row["place"]): row["value"] for row in rows}
    assert found == {
        ("deployed", "F(0.01)", "source"): 0.1,
        ("deployed", "F(0.02)", "source"): 0.4,
        ("deployed", "F(0.01)", "target"): 0.2,  # the other one was not finite
        ("deployed", "SAM(0.05)", "source"): 0.3,
        ("deployed", "trace", "source"): 40.0,
        ("deployed", "top eigenvalue", "source"): 9.0,
        ("deployed", "log det K", "target"): -3.5,
        ("deployed", "log R", "target"): 2.0,
        ("deployed", "IIC", "target"): -3.1,
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
    table = flatness_table(frame(rows), "flatness", "Flatness", Roles())
    line = table.numbers.set_index(["weights", "measure"]).loc[("deployed", "F(0.02)")]
    assert (line["on the source"], line["n"]) == (pytest.approx(0.4), 2)
    assert np.isnan(line["on the target"])
    text = table.text.set_index(["weights", "measure"]).loc[("deployed", "F(0.02)")]
    assert (text["on the source"], text["on the target"], text["cells"]) == ("0.4", "—", "2")
    measures = ["F(0.01)", "F(0.02)", "SAM(0.05)", "trace", "top eigenvalue", "log det K", "log R", "IIC"]
    assert list(table.text["measure"]) == [*measures, "F(0.01)", "F(0.02)"]
    assert list(table.text["weights"]) == ["deployed"] * 8 + ["latent"] * 2


def test_the_correlation_table_takes_methods_that_every_target_has(make: Make) -> None:
    rows = []
    for target, hard in (("art", 0.0), ("sketch", 0.3)):
        for i in range(6):
            for seed in range(2):
                found = {**MEASURED, "deployed": {**MEASURED["deployed"], "sam_source": [0.1 * i + hard + 0.01 * seed]}}
                accuracy = 0.6 - 0.05 * i - hard + 0.001 * seed
                made = measured(make(target, seed, quantizer=f"q{i}", rows={"iid": accuracy}), found)
                rows += [{**row, "quantizer": f"q{i}"} for row in flatness_rows(made)]
    rows = [r for r in rows if (r["quantizer"], r["target"]) != ("q5", "sketch")]
    table = correlation_table(frame(rows), "correlation", "Flatness and gap")
    text = table.text.set_index(["weights", "measure", "place"])
    sam = text.loc[("deployed", "SAM(0.05)", "source")]
    assert (sam["Spearman r"], sam["Pearson r"]) == ("+1.00", "+1.00")
    assert (sam["targets"], sam["methods"], sam["cells"]) == ("2", "5", "20")
    assert float(sam["Spearman p"]) == pytest.approx(2 / 120, abs=0.01)
    assert set(table.traces[0, "cells"]) == {row["key"] for row in rows if row["quantizer"] != "q5"}
    assert text.loc[("deployed", "trace", "source"), "Spearman r"] == "—"  # the same in every cell
    again = correlation_table(frame(rows[::-1]), "correlation", "Flatness and gap")
    assert again.text.set_index(["weights", "measure", "place"]).loc[("deployed", "SAM(0.05)", "source")].equals(sam)


def test_it_needs_no_torch() -> None:
    code = "import sys, quantdg.reports.tables.flatness; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
