"""Parts of other packages: shown like the built-in ones, and never the loss of a report; the page about them is true."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import altair as alt
import pandas as pd
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.results import Results
from quantdg.reports.page.page import render_html
from quantdg.reports.plugins import BUILT_IN, Kind, parts
from quantdg.reports.report import Report
from quantdg.reports.tables.table import Table

PAGE = (Path(__file__).parents[2] / "docs" / "adding_a_report.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DECLARED = re.findall(r'entry-points\."(\S+)"\]\n(\S+) = "(\S+)"', PAGE)
Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Pretend that an installed package declares these functions as parts of one kind."""
    module, known, declared = ModuleType("stranger"), metadata.entry_points, list[EntryPoint]()
    monkeypatch.setitem(sys.modules, "stranger", module)

    def entry_points(**wanted: str) -> list[EntryPoint]:
        return [*known(**wanted), *(part for part in declared if part.group == wanted["group"])]

    monkeypatch.setattr(metadata, "entry_points", entry_points)

    def declare(kind: Kind, **functions: object) -> None:
        for name, function in functions.items():
            setattr(module, name.replace("-", "_"), function)
            declared.append(EntryPoint(name, f"stranger:{name.replace('-', '_')}", f"quantdg.{kind}s"))

    return declare


def table(name: str = "mine", **change: object) -> Table:
    frame = pd.DataFrame({"method": ["erm"], "value": ["1"]})
    fields = {"name": name, "title": "Mine", "text": frame, "numbers": frame, **change}
    return Table(**fields)  # type: ignore[arg-type]


def problems(report: Report) -> dict[str, str]:
    (last,) = [t for t in report.measured if t.name == "problems"]
    return dict(zip(last.text["file"], last.text["reason"], strict=True))


def test_a_strangers_table_stands_with_its_section_and_the_others_stay(golden: RunStore, offer: Offer) -> None:
    before = [t.name for t in Report.of(golden.root).measured]

    def mine(results: Results) -> Iterator[Table]:
        for section, name in results.section_names.items():
            yield table(f"mine-{name}", section=section)
        yield table("mine-of-all")

    offer("table", mine=mine)
    report = Report.of(golden.root)
    assert [t.name for t in report.measured] == [*before, "mine-pacs-cnn-small", "mine-of-all"]
    assert report.failed_parts == []
    assert "Mine" in render_html(report)


def test_sections_keep_their_tables_together(store: RunStore, make: Callable[..., Record], offer: Offer) -> None:
    for dataset in ("pacs", "vlcs"):
        store.write(make(rows={"iid": 0.5}, dataset=dataset))
    offer("table", mine=lambda results: [table(f"mine-{n}", section=s) for s, n in results.section_names.items()])
    names = [t.name for t in Report.of(store.root).measured]
    of_sections = [f"{kind}-{dataset}-cnn-small" for dataset in ("pacs", "vlcs") for kind in ("accuracy", "mine")]
    assert names == ["field-cnn-small", *of_sections]


def test_a_strangers_figure_is_written_and_shown(golden: RunStore, offer: Offer, tmp_path: Path) -> None:
    offer("figure", mine=lambda results: chart("Of a stranger"), none=lambda results: None)
    report = Report.of(golden.root)
    assert {"figure-mine.svg", "figure-mine.pdf", "figure-mine.png"} <= {file.name for file in report.write(tmp_path)}
    assert "![Of a stranger](figure-mine.svg)" in report.text()
    assert "Of a stranger" in render_html(report)


def test_a_strangers_metric_is_the_mean_over_each_methods_cells(
    store: RunStore, make: Callable[..., Record], offer: Offer
) -> None:
    for seed, ms in enumerate((2.0, 4.0)):
        store.write(make(seed=seed, rows={"iid": 0.5}, timings={"step_ms": ms}))
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, timings={"step_ms": 10 * ms} if seed else {}))
    store.write(make(seed=2, quantizer="lsq", status="failed", reason="x"))
    offer("metric", step_ms=lambda record: record.timings.get("step_ms"), seed=lambda record: record.labels.seed)
    (found,) = [t for t in Report.of(store.root).measured if t.name.startswith("metrics-")]
    assert found.text.drop(columns="algorithm").to_dict("records") == [
        {"quantizer": "float", "bits": "float", "seed": "0.5", "step_ms": "3", "cells": "2"},
        {"quantizer": "lsq", "bits": "W7", "seed": "0.5", "step_ms": "40 (1 of 2)", "cells": "2"},
    ]
    mean = found.numbers.set_index(["quantizer", "metric"])["mean"]
    assert mean["lsq", "step_ms"] == 40


def broken(results: Results) -> list[Table]:
    raise ZeroDivisionError("division by zero")


def chart(title: str = "", **change: object) -> alt.Chart:
    rows = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
    return alt.Chart(rows, title=title, **change).mark_line().encode(x="x:Q", y="y:Q")


@pytest.mark.parametrize(
    ("kind", "function", "reason"),
    [
        ("table", broken, "ZeroDivisionError: division by zero"),
        ("table", lambda results: [3], "a table must be a quantdg.reports.tables.table.Table, got 3"),
        ("table", lambda results: 3, "TypeError"),
        ("table", lambda results: [table("../escape")], "becomes a file name.*got '../escape'"),
        ("table", lambda results: [table("mine"), table("mine")], "name 'mine' is taken"),
        ("table", lambda results: [table("accuracy-pacs-cnn-small")], "is taken; write another one"),
        ("table", lambda results: [table("verdict-gain-pacs-cnn-small")], "is taken"),
        ("table", lambda results: [table("problems")], "is taken"),
        ("table", lambda results: [table(text="no frame")], "AttributeError"),
        ("figure", lambda results: 3, "a figure must be an Altair chart or None, got 3"),
        ("figure", lambda results: [chart("x"), "y"], "must be an Altair chart or None, got 'y'"),
        ("figure", lambda results: chart(), "must have a title, got none; write chart.properties"),
        ("figure", lambda results: chart("x", name="../escape"), "becomes a file name.*got 'figure-../escape'"),
        ("figure", lambda results: [chart("x"), chart("y")], "name 'figure-mine' is taken"),
        ("figure", lambda results: chart("x").encode(color="x:Z"), "not one of the valid encoding data types"),
        ("figure", lambda results: chart("x").transform_filter("datum.x >"), "conversion failed"),
        ("metric", lambda record: record.rows["nothing"], "no number for 2 of 2 records, first .*KeyError: 'nothing'"),
        ("metric", lambda record: float("inf"), "must return a finite number, or None where there is none, got inf"),
        ("metric", lambda record: "fast", "must return a finite number.*got 'fast'"),
    ],
)
def test_a_part_that_fails_is_a_problem_and_the_rest_is_as_before(
    store: RunStore,
    make: Callable[..., Record],
    offer: Offer,
    tmp_path: Path,
    kind: Kind,
    function: object,
    reason: str,
) -> None:
    for quantizer in ("float", "lsq"):
        store.write(make(quantizer=quantizer, rows={"iid": 0.5}))
    before = {file.name: file.read_bytes() for file in Report.of(store.root).write(tmp_path / "before")}
    offer(kind, mine=function)
    report = Report.of(store.root)
    ((where, why),) = problems(report).items()
    assert where == f"{kind} mine (stranger:mine)"
    assert re.search(reason, why)
    assert "Files and parts of the report that could not be used" in report.summary()
    after = {file.name: file.read_bytes() for file in report.write(tmp_path / "after")}
    assert {n: b for n, b in after.items() if n in before and n != "report.md"} == {
        n: b for n, b in before.items() if n != "report.md"
    }
    assert mine_is_absent(after) or kind == "metric"


def mine_is_absent(files: dict[str, bytes]) -> bool:
    return not [name for name in files if "mine" in name or "figure-mine" in name or "escape" in name]


def test_a_part_that_cannot_be_imported_is_a_problem(golden: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {kind: EntryPoint("lost", "no_such_module:part", f"quantdg.{kind}s") for kind in BUILT_IN}
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in lost.values() if p.group == group])
    found = problems(Report.of(golden.root))
    assert list(found) == [f"{kind} lost (no_such_module:part)" for kind in ("metric", "table", "figure")]
    assert set(found.values()) == {"ModuleNotFoundError: No module named 'no_such_module'"}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_built_in_parts_are_loaded_as_all_others(kind: Kind) -> None:
    built_in = [part for part in parts(kind) if part.name in BUILT_IN[kind]]
    assert [part.name for part in built_in] == list(BUILT_IN[kind])
    assert all(callable(part.load()) for part in built_in)


def test_a_built_in_part_that_fails_is_a_problem_too(golden: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantdg.reports.tables.cost.size_table", broken)
    report = Report.of(golden.root)
    (where,) = problems(report)
    assert where == "table size (quantdg.reports.tables.cost:size_tables)"
    assert any(t.name.startswith("latency") for t in report.measured)


def test_the_page_is_true(golden: RunStore, offer: Offer, tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "quantdg_extras"}
    for block in BLOCKS:
        exec(compile(block, "docs/adding_a_report.md", "exec"), names)  # noqa: S102 - our own page
    assert len(DECLARED) == 3
    for group, name, value in DECLARED:
        kind = group.removeprefix("quantdg.").removesuffix("s")
        offer(kind, **{name: names[value.partition(":")[2]]})
    report = Report.of(golden.root)
    assert report.failed_parts == []
    written = {file.name for file in report.write(tmp_path)}
    stem = "pacs-cnn-small"
    assert {f"{n}-{stem}{e}" for n in ("worst-domain", "metrics") for e in (".md", ".csv", ".tex")} <= written
    assert {f"figure-by-seed{e}" for e in (".svg", ".pdf", ".png")} <= written
    tables = {t.name: t for t in report.measured}
    assert tables[f"worst-domain-{stem}"].text["worst"].tolist() == ["62.0", "65.0", "62.0", "65.0"]
    gaps = dict(zip(*(tables[f"metrics-{stem}"].text[c] for c in ("quantizer", "target-gap")), strict=True))
    assert gaps == {"float": "18", "lsq": "16"}  # 90 % on the source; 72 and 74 on the targets
    assert names["show"](golden.root) == tables[f"worst-domain-{stem}"].markdown()  # type: ignore[operator]


def test_the_page_shows_a_problem_as_it_is_told(golden: RunStore, offer: Offer) -> None:
    offer("table", **{"worst-domain": broken})
    (told,) = problems(Report.of(golden.root)).items()
    assert " | ".join(told).replace("stranger:", "quantdg_extras:") in PAGE
