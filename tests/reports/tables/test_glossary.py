"""Each column of each table of the suite itself has a sentence that explains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from quantdg.bench.results.deployment import Bytes, Deployment, Timing, write_deployment
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.report import Report
from quantdg.reports.tables.glossary import EXPLAINED, explained
from quantdg.reports.tables.provenance import provenance_table
from quantdg.reports.tables.published import published_tables
from quantdg.reports.tables.table import Table

Make = Callable[..., Record]


def _table(name: str, *columns: str) -> Table:
    return Table(name=name, title="", text=pd.DataFrame(columns=[*columns]), numbers=pd.DataFrame())


@pytest.fixture
def whole(golden: RunStore, make: Make) -> Report:
    """Golden records and whatever else gives a table: data sets, algorithms, averaging, flatness, deployment, failures."""
    timing = Timing(1, 1, "cpu", 0.5, 0.4, 0.6, (1.0, 0.9, 1.1), 0.5, 0.45, 0.55, 20, 3, 0.7)
    found: list[Record] = []
    for algorithm, dataset, target, seed in (
        ("erm", "digits", "a", 0),
        ("erm", "digits", "b", 0),
        ("coral", "pacs", "art", 0),
    ):
        for quantizer in ("float", "lsq", "pact", "freeze"):
            rows = {"iid": 0.5 + len(quantizer) / 100, "swad": 0.6}
            record = make(target, seed, algorithm, quantizer, rows, dataset=dataset)
            found.append(
                replace(
                    record,
                    flatness={
                        "settings": {"radii": [0.01], "rhos": []},
                        "deployed": {"local_source": [0.1], "local_target": [0.2]},
                    },
                )
            )
    for record in found:
        golden.write(record)
        for seed in range(3):
            key = f"{record.key[:-1]}{seed}"
            labels = replace(record.labels, seed=seed)
            write_deployment(golden.root, Deployment(
                key if seed else record.key, labels, "openvino", "integer", size=16, layers=4, integer_layers=3, folded=3,
                bytes=Bytes(1000, 1010, 270, 220, 150, 180, 8, 30), images=64, difference=2e-3, fused_difference=3e-3,
                noise=2e-3, limit=4e-3, accuracy=0.75, stored_accuracy=0.7, changed=6, machine={"cpu": "X"}, timings=(timing,),
            ))  # fmt: skip
    golden.write(make("art", 1, "coral", "nni", status="failed", reason="why"))
    return Report.of(golden.root)


def test_every_column_has_a_sentence(whole: Report) -> None:
    tables = [*whole.judged, *whole.measured, *published_tables(whole.results), provenance_table(whole.results)]
    kinds = {table.name.partition("-")[0] for table in tables}
    assert {"verdict", "field", "accuracy", "robustness", "size", "latency", "audit", "flatness", "failures"} <= kinds
    assert {"deployed", "published", "provenance"} <= kinds
    tables.append(_table("search-x", "trials", "with search", "without", "gain", "default kept"))
    tables.append(_table("chosen-x", "target", "seed", "trial", "lr", "source", "source, default"))
    for table in tables:
        without = {*map(str, table.text.columns)} - {*explained(table)}
        assert not without, f"{table.name}: reports/tables/glossary.py explains no {without}"


def test_every_sentence_is_short() -> None:
    for column, sentence in EXPLAINED.items():
        assert sentence.endswith("."), column
        assert len(sentence) < 130, column


@pytest.mark.parametrize(
    ("table", "column", "said"),
    [
        ("accuracy-x", "sketch", "Accuracy in % on the target domain sketch, mean over seeds."),
        ("field-x", "sketch", "Accuracy in % on sketch, mean over its target domains and seeds."),
        ("verdict-quantizers-x", "interval", "The interval of the standard deviation between quantizers, points."),
        ("verdict-gain-x", "worst data set", "The data set with the smallest mean difference, in points."),
        (
            "verdict-gain-x",
            "data sets needed",
            "Data sets that would show the gain with 80 % power if it is as large as measured.",
        ),
        ("my-table", "my column", None),
    ],
)
def test_what_is_said(table: str, column: str, said: str | None) -> None:
    assert explained(_table(table, column)).get(column) == said
