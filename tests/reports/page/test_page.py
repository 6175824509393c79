"""The page: self-contained, well-formed, safe, traceable, and the same from the same records."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise, product
from pathlib import Path

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.answer.answer import answer_of
from quantdg.reports.frames.results import load
from quantdg.reports.page.page import write_html
from quantdg.reports.page.places import ranges
from quantdg.reports.page.trust import checks
from quantdg.reports.report import Report
from quantdg.reports.tables.published import published_tables
from quantdg.reports.text.numbers import DASH, p_text, points

Make = Callable[..., Record]
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)> & ${x} {{ 7 * 7 }}{% x %} 漢"
_VOID = {"meta", "input", "link", "br"}


class _Page(HTMLParser):
    """Checks nesting and collects ids, tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of this kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def _expand(ranges: str) -> list[int]:
    """The places that ``0-2,5`` stands for."""
    ends = [[int(i) for i in part.split("-")] for part in ranges.split(",") if part]
    return [i for own in ends for i in range(own[0], own[-1] + 1)]


def _write(store: RunStore, tmp_path: Path) -> tuple[str, _Page]:
    text = write_html(Report.of(store.root), tmp_path / "page.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == []
    return text, page


@pytest.fixture(scope="module")
def written(shared_golden: RunStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, _Page]:
    """The golden page, rendered once."""
    return _write(shared_golden, tmp_path_factory.mktemp("page"))


Written = tuple[str, _Page]


def test_has_every_part(written: Written) -> None:
    text, page = written
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {
        "answer",
        "trust",
        "matrix",
        "figures",
        "verdict",
        "tables",
        "failures",
        "published",
        "provenance",
        "glossary",
    } <= {*ids}
    assert {a["href"] for a in page.all("a")} <= {f"#{i}" for i in ids}
    shown = " ".join(page.text)
    for part in (
        "83.0 ± 1.2",
        "Not decidable: with 2 target domains",
        "Every cell of the grid has a result.",
        "2.15.0",
    ):
        assert part in shown
    charts = [a for a in page.all("div") if a.get("class") == "chart"]
    assert len(charts) == 4  # forest, size, latency, noise; two methods are too few for ranks
    assert all(a.get("aria-label") for a in charts)
    assert text.startswith("<!doctype html>")


def test_needs_no_network(written: Written) -> None:
    text, page = written
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert not page.all("link") + page.all("img") + page.all("iframe")
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_policy_allows_the_page_s_own_script_only(written: Written) -> None:
    text, _ = written
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 2  # the page's, and that of its figures
    assert 'script-src {}"'.format(" ".join(f"'sha256-{digest}'" for digest in digests)) in text


def test_every_number_leads_to_its_records(shared_golden: RunStore, written: Written) -> None:
    golden, (text, page) = shared_golden, written
    (raw,) = re.findall(r'<script type="application/json" id="keys">(.*?)</script>', text)
    keys = json.loads(raw)
    traced = [a["data-k"] or "" for a in page.all("button") if a.get("class") == "trace"]
    tables = 2 * 2 * 2 + 1 + 2 + 2 + 2 + 1  # accuracies, a gain, robustness, sizes, latencies, an audit
    figures = len(page.all("figure"))
    assert figures == 4
    measured = [number for table in published_tables(load(golden.root)) for number in table.text["measured"]]
    assert len(traced) == 3 + figures + tables + sum(number != DASH for number in measured)  # 3 sentences
    assert all(golden.cell_path(keys[i]).exists() for k in traced for i in _expand(k))
    (first,) = re.findall(r'data-k="([\d,-]+)">83\.0 ± 1\.2<', text)[:1]
    found = [golden.read(keys[i]) for i in _expand(first)]
    assert [r.labels.quantizer for r in found if r] == ["lsq"] * 3
    assert [r.rows["iid"].target_in for r in found if r] == [0.81, 0.83, 0.85]
    (gain,) = re.findall(r'data-k="([\d,-]+)">\+2\.00<', text)
    assert _expand(gain) == list(range(12))  # every lsq cell and its float partner
    (said,) = re.findall(
        r'lsq W7: \+2\.00 points [^<]* <button type="button" class="trace" data-k="([^"]*)">12 records', text
    )
    assert said == gain


def test_no_row_of_numbers_is_without_its_records(shared_golden: RunStore) -> None:
    report = Report.of(shared_golden.root)
    for table in (*report.judged, *report.measured):
        assert {row for row, _ in table.traces} == set(range(len(table.text))), table.name


@pytest.mark.parametrize(("places", "short"), [([], ""), ([4], "4"), ([5, 3, 4, 9, 4], "3-5,9"), ([0, 2], "0,2")])
def test_places_are_written_as_ranges(places: list[int], short: str) -> None:
    assert ranges(places) == short
    assert _expand(short) == sorted(set(places))


def test_hostile_names_are_text(store: RunStore, make: Make, tmp_path: Path) -> None:
    for quantizer in ("float", HOSTILE):
        for target in ("art", HOSTILE):
            for seed in range(2):
                rows = {"iid": 0.5, HOSTILE: 0.4}
                store.write(make(target, seed, HOSTILE, quantizer, rows, dataset=HOSTILE, protocol=HOSTILE))
    store.write(
        make("art", 1, HOSTILE, HOSTILE * 2, status="failed", reason=HOSTILE, dataset=HOSTILE, protocol=HOSTILE)
    )
    _, page = _write(store, tmp_path)
    assert page.all("figure")
    assert len(page.all("script")) == 4 + len(page.all("figure"))  # keys, configuration and two scripts
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text


def test_the_templates_declare_nothing_safe() -> None:
    templates = [*(files("quantdg.reports.page") / "templates").iterdir()]
    assert {"page.html", "table.html", "verdict.html", "figure.html"} <= {path.name for path in templates}
    for path in templates:
        assert not re.search(r"\|\s*safe|autoescape", path.read_text(encoding="utf-8")), path.name


def test_usable_by_keyboard_and_screen_reader(written: Written) -> None:
    _, page = written
    assert page.all("html")[0]["lang"] == "en"
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))
    assert all(a.get("tabindex") == "0" for a in page.all("div") if a.get("class") == "scroll")
    labelled = {a["for"] for a in page.all("label")}
    assert all(a["id"] in labelled for a in page.all("input"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("main")) == len(page.all("h1")) == 1
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = {a["id"] for _, a in page.tags if "id" in a}
    pointing = ("aria-labelledby", "aria-describedby", "for")
    assert {a[name] for _, a in page.tags for name in pointing if name in a} <= ids
    assert all(a.get("scope") for a in page.all("th"))
    assert all(a.get("type") == "button" for a in page.all("button"))
    sorting = [a for a in page.all("button") if a.get("class") == "sort"]
    assert all("aria-describedby" in a for a in sorting)
    assert len(sorting) > 50


def test_same_records_same_page(shared_golden: RunStore, written: Written, tmp_path: Path) -> None:
    assert _write(shared_golden, tmp_path)[0] == written[0]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, make_many: Make) -> tuple[Report, str]:
    """Two data sets, two algorithms, an averaging, a control and a cell that failed: the report and its page."""
    folder = tmp_path_factory.mktemp("several")
    store = RunStore(folder / "runs", create=True)
    for at, (dataset, target, algorithm, quantizer) in enumerate(
        product(("pacs", "digits"), ("a", "b", "c"), ("erm", "coral"), ("float", "lsq", "freeze"))
    ):
        rows = {"iid": 0.5 + at % 7 / 100, "swad": 0.6 + at % 5 / 100}
        store.write(make_many(target, 0, algorithm, quantizer, rows, dataset=dataset, target_count=1000))
    store.write(make_many("a", 0, "erm", "nni", status="failed", reason="no <memory>"))
    report = Report.of(store.root)
    return report, write_html(report, folder / "page.html").read_text(encoding="utf-8")


def _opened(text: str) -> dict[str, tuple[str, str]]:
    """What each cell of the matrices shows and opens, by the latter's id."""
    cells = re.findall(
        r'data-about="([^"]*)" data-k="[^"]*">(.*?)</button>\s*<template id="\1">(.*?)</template>', text, re.DOTALL
    )
    return {about: (shown, opened) for about, shown, opened in cells}


def test_the_page_opens_with_the_answer_and_pictures_before_the_table_of_the_field(several: tuple[Report, str]) -> None:
    report, text = several
    answer = answer_of(report.verdict, report.results)
    assert answer is not None
    parts = ("question", "trust", "matrix", "figures", "field", "verdict", "glossary")
    order = [text.index(f'id="{part}"') for part in parts]
    assert order == sorted(order)
    card = text[text.index('id="answer"') : text.index('id="trust"')]
    assert f"<strong>{answer.word.capitalize()}</strong>" in card
    assert answer.counts in card
    assert answer.sentence in card
    assert not re.search(r"\bp [=<]", card)
    trust = text[text.index('id="trust"') : text.index('id="matrix"')]
    assert "3 of 39 cells have no result: 1 failed, 2 missing." in trust
    assert "no &lt;memory&gt;" in trust


def test_a_layer_that_is_warned_of_in_each_data_set_is_said_once(store: RunStore, make: Make) -> None:
    def layer(noise: float) -> dict[str, float | int | None]:
        return {"moved": 1, "noise_to_signal": noise, "saturation": 0.0}

    audit = {f"conv{i}": layer(0.01 if i else 0.3) for i in range(6)}
    for dataset in ("digits", "pacs", "vlcs"):
        store.write(make(quantizer="float", bits="float", rows={"iid": 0.5}, dataset=dataset))
        store.write(make(quantizer="lsq", rows={"iid": 0.5}, dataset=dataset, audit=audit))
    report = Report.of(store.root)
    said = [
        check.text for check in checks(report, answer_of(report.verdict, report.results)) if "layer conv" in check.text
    ]
    assert [text.partition(": ")[0] for text in said] == ["digits"]
    assert said[0].endswith("And 2 warnings more, in digits, pacs, vlcs.")


def test_the_matrix_has_the_numbers_of_the_csv(several: tuple[Report, str]) -> None:
    report, text = several
    opened = _opened(text)
    scopes = [scope for scope in report.verdict.scopes if scope.units.word == "domain"]
    tables = {table.name: table for table in report.judged}
    for s, scope in enumerate(scopes):
        lines = [*csv.DictReader(io.StringIO(tables[f"verdict-gain-{scope.file}"].csv()))]
        for line in lines:
            j = ["erm", "coral"].index(line["algorithm"])
            i = list(dict.fromkeys(x["quantizer"] for x in lines)).index(line["quantizer"])
            shown, said = opened[f"a{s}-0-q{i}-{j}"]
            if line["answer"] == "incomplete":
                assert "incomplete" in shown
                continue
            mean, low, high = (points(float(line[c])) for c in ("mean", "low", "high"))
            assert f"<b>{mean}</b>" in shown
            assert f"<small>{low} to {high}</small>" in shown
            for value in (f"{mean} points", f"{low} to {high}", p_text(float(line["p"])), line["answer"]):
                assert f"<dd>{value}</dd>" in said


def test_averaging_and_data_are_choices(several: tuple[Report, str]) -> None:
    report, text = several
    views = re.findall(r'<div class="view" data-scope="([^"]*)" data-average="([^"]*)"( hidden)?>', text)
    scopes = [scope.name for scope in report.verdict.scopes if scope.units.word == "domain"]
    assert [(scope, average) for scope, average, _ in views] == [(s, a) for s in scopes for a in ("", "swad")]
    assert [bool(hidden) for *_, hidden in views] == [False] + [True] * (len(views) - 1)
    cube = report.verdict.scopes[0].cube
    gain = cube.units.mean(cube.difference(("erm", "lsq", "W7", "swad"), ("erm", "float", "float", "swad")))
    names = [
        name
        for name, (shown, _) in _opened(text).items()
        if name.startswith("a0-1-q") and name.endswith("-0") and points(gain) in shown
    ]
    assert names


def test_an_empty_run_folder_has_a_page_too(store: RunStore, tmp_path: Path) -> None:
    text, _ = _write(store, tmp_path)
    assert "No cells yet." in text


@pytest.mark.parametrize("status", ["failed", "unsupported", "unavailable"])
def test_cells_without_a_result_are_there_with_their_reason(
    golden: RunStore, make: Make, tmp_path: Path, status: str
) -> None:
    golden.write(make("art", 0, quantizer="nni", status=status, reason="the reason why"))
    _, page = _write(golden, tmp_path)
    shown = " ".join(page.text)
    assert "the reason why" in shown
    assert f"{status} 1/3" in shown
