"""The page: self-contained, well-formed, safe, traceable, and the same from the same records."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.results import load
from quantdg.reports.page.page import write_html
from quantdg.reports.page.places import ranges
from quantdg.reports.report import Report
from quantdg.reports.tables.published import published_tables
from quantdg.reports.text.numbers import DASH

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


def test_has_every_part(golden: RunStore, tmp_path: Path) -> None:
    text, page = _write(golden, tmp_path)
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
    assert (
        len([a for a in page.all("svg") if "aria-label" in a]) == 4
    )  # forest, size, latency, noise; two methods are too few for ranks
    assert text.startswith("<!doctype html>")


def test_needs_no_network(golden: RunStore, tmp_path: Path) -> None:
    text, page = _write(golden, tmp_path)
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert not page.all("link") + page.all("img") + page.all("iframe")
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_policy_allows_the_page_s_own_script_only(golden: RunStore, tmp_path: Path) -> None:
    text, _ = _write(golden, tmp_path)
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_every_number_leads_to_its_records(golden: RunStore, tmp_path: Path) -> None:
    text, page = _write(golden, tmp_path)
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


def test_no_row_of_numbers_is_without_its_records(golden: RunStore) -> None:
    report = Report.of(golden.root)
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
    store.write(make("art", 2, HOSTILE, HOSTILE, status="failed", reason=HOSTILE, dataset=HOSTILE, protocol=HOSTILE))
    _, page = _write(store, tmp_path)
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text


def test_the_templates_declare_nothing_safe() -> None:
    templates = [*(files("quantdg.reports.page") / "templates").iterdir()]
    assert {"page.html", "table.html", "verdict.html", "figure.html"} <= {path.name for path in templates}
    for path in templates:
        assert not re.search(r"\|\s*safe|autoescape", path.read_text(encoding="utf-8")), path.name


def test_usable_by_keyboard_and_screen_reader(golden: RunStore, tmp_path: Path) -> None:
    _, page = _write(golden, tmp_path)
    assert page.all("html")[0]["lang"] == "en"
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))
    assert all(a.get("tabindex") == "0" for a in page.all("div") if a.get("class") == "scroll")
    labelled = {a["for"] for a in page.all("label")}
    assert all(a["id"] in labelled for a in page.all("input"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("main")) == len(page.all("h1")) == 1


def test_same_records_same_page(golden: RunStore, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert _write(golden, tmp_path)[0] == _write(golden, tmp_path / "b")[0]


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
