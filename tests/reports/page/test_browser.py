"""The page in a real headless Chromium; skipped where playwright or a Chromium is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from quantdg.bench.results.store import RunStore
from quantdg.reports.page.cell_pages import write_cell_pages
from quantdg.reports.page.page import write_html
from quantdg.reports.report import Report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
CONTRAST = """() => {
  const canvas = document.createElement("canvas"), brush = canvas.getContext("2d", {willReadFrequently: true});
  const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = colours => {
    brush.clearRect(0, 0, 1, 1);
    colours.forEach(colour => { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); });
    return light([...brush.getImageData(0, 0, 1, 1).data].slice(0, 3));
  };
  const faint = [];
  document.querySelectorAll("body *").forEach(own => {
    const text = [...own.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).map(n => n.data.trim())[0];
    if (!text || own.closest("svg, script, .vh") || !own.checkVisibility({visibilityProperty: true})) { return; }
    const under = [];
    for (let at = own; at; at = at.parentElement) { under.unshift(getComputedStyle(at).backgroundColor); }
    const [a, b] = [over(under), over([...under, getComputedStyle(own).color])];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) { faint.push(`${text} ${ratio.toFixed(2)}`); }
  });
  return faint;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def _open(browser: Any, file: Path, width: int = 390, scheme: str = "dark") -> Iterator[Any]:
    """The page, opened; it must ask the network for nothing and log nothing."""
    said: list[str] = []
    asked: list[str] = []
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened.set_default_timeout(10_000)
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert said == []
    assert {url.rpartition("/")[0] for url in asked} <= {file.parent.as_uri(), f"{file.parent.as_uri()}/cells"}


@pytest.fixture(scope="module")
def golden_file(shared_golden: RunStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden page, and those of its cells."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    write_cell_pages(shared_golden.root, file.parent / "cells", file)
    return write_html(Report.of(shared_golden.root), file, "cells")


@pytest.fixture(scope="module")
def several_file(make_many: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two data sets with an averaging, a control, gains of all sizes and a failure."""
    folder = tmp_path_factory.mktemp("several")
    store = RunStore(folder / "runs", create=True)
    for at, (algorithm, dataset, target, quantizer) in enumerate(
        product(
            ("erm", "coral"),
            ("pacs", "digits"),
            ("a", "b"),
            ("float", "lsq", "pact", "nni", "dorefa", "apot", "ewgs", "freeze"),
        )
    ):
        gain = 0 if quantizer == "float" else (at % 8 - 4) / 50
        rows = {"iid": 0.5 + gain, "swad": 0.6 - gain}
        store.write(make_many(target, 0, algorithm, quantizer, rows, dataset=dataset, target_count=1000))
    store.write(make_many("a", 0, "erm", "cpt", status="failed", reason="a reason " * 30))
    return write_html(Report.of(store.root), folder / "page.html")


@pytest.fixture
def page(browser: Any, golden_file: Path) -> Iterator[Any]:
    """The golden page on a phone, dark."""
    yield from _open(browser, golden_file)


@pytest.fixture
def several(browser: Any, several_file: Path) -> Iterator[Any]:
    """The page of several data sets on a phone, light."""
    yield from _open(browser, several_file, scheme="light")


def _column(page: Any, table: str, i: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr:not([hidden]) > :nth-child({i})")
    return [text.strip() for text in cells.all_inner_texts()]


def _unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")


def test_sorting_filtering_tracing_and_theme(page: Any) -> None:
    summary = page.locator("#tables summary", has_text="Accuracy by target domain")
    summary.focus()
    summary.press("Enter")
    table = page.locator("#tables table", has_text="gain over float").first.get_attribute("id")
    head = page.locator(f"#{table} th", has_text="art")
    head.locator("button").click()
    assert _column(page, table, 5) == sorted(_column(page, table, 5))
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert _column(page, table, 5) == sorted(_column(page, table, 5), reverse=True)

    _unfold(page)
    reported = page.locator("#published table").nth(1).get_attribute("id")
    page.fill(f"#f-{reported}", "sketch")
    rows = _column(page, reported, 3)
    assert 0 < len(rows) < 97
    assert {*rows} == {"sketch"}

    page.locator(".trace").first.focus()
    page.keyboard.press("Enter")
    assert len(page.locator("#records li").all_inner_texts()) > 0
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('records').open")

    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.click("#theme")
    assert page.evaluate(colour) == "rgb(255, 255, 255)" != dark


def test_a_gain_opens_what_stands_behind_it_by_keyboard(page: Any) -> None:
    gain = page.locator("#matrix .gain").first
    gain.focus()
    page.keyboard.press("Space")
    said = page.locator("#records").inner_text()
    for part in ("lsq W7 under erm", "+2.00 points (95 % interval", "not decidable", "Records behind this number"):
        assert part in said
    assert len(page.locator("#records li").all_inner_texts()) == 12  # lsq and its float partners
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "gain"


def test_headings_explain_themselves(page: Any) -> None:
    _unfold(page)
    page.locator("#tables .sort", has_text="gain over float").first.focus()
    assert page.locator("#tip").inner_text().startswith("Accuracy minus that of the same training")
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_a_link_to_a_folded_table_unfolds_it(several: Any) -> None:
    fold = several.locator("#tables details").first
    several.evaluate("id => { location.hash = id; }", fold.get_attribute("id"))
    several.wait_for_function("id => document.getElementById(id).open", arg=fold.get_attribute("id"))


def test_data_and_averaging_are_chosen(several: Any) -> None:
    shown = several.locator(".view:not([hidden])")
    assert shown.count() == 1
    before = shown.inner_text()
    several.select_option("#choose-average", "swad")
    assert shown.count() == 1
    assert "averaged weights (swad)" in shown.inner_text() != before
    several.select_option("#choose-scope", index=1)
    assert shown.count() == 1
    assert "digits" in shown.inner_text()


def test_fits_a_phone(several: Any) -> None:
    _unfold(several)
    assert several.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: Any, several_file: Path, scheme: str) -> None:
    for opened in _open(browser, several_file, width=1280, scheme=scheme):
        _unfold(opened)
        assert opened.evaluate(CONTRAST) == []


def test_a_print_unfolds_what_matters_and_has_no_controls(several: Any) -> None:
    several.emulate_media(media="print")
    hidden = several.locator("header nav, .theme, .filter")
    assert not any(hidden.nth(i).is_visible() for i in range(hidden.count()))
    assert several.locator("details.printed table").first.evaluate(
        "own => own.checkVisibility({contentVisibilityAuto: true})"
    )
    assert not several.locator("#published table").first.evaluate("own => own.checkVisibility()")


def test_a_number_leads_to_the_page_of_its_cell_and_back(page: Any) -> None:
    page.locator(".trace:visible, .gain:visible").first.click()
    page.locator("#records li a").first.click()
    page.wait_for_selector("h1")
    assert "quantdg run" in page.inner_text("main") or "No command" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("text=Back to the report")
    page.wait_for_url("**/page.html")
