"""The report's page and those of cells in a real headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.reports.page.cell_pages import render_cell, write_cell_pages
from quantdg.reports.page.page import write_html
from quantdg.reports.report import Report
from tests.browser import DESKTOP, faint, fits, nameless, open_page, roles, texts, unfold

pytestmark = pytest.mark.browser
OLD = Path(__file__).parents[2] / "bench" / "results" / "schema1" / "a"


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
    with open_page(browser, golden_file.as_uri(), scheme="dark") as opened:
        yield opened


@pytest.fixture
def several(browser: Any, several_file: Path) -> Iterator[Any]:
    """The page of several data sets on a phone, light."""
    with open_page(browser, several_file.as_uri()) as opened:
        yield opened


def _column(page: Any, table: str, i: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr:not([hidden]) > :nth-child({i})")
    return [text.strip() for text in cells.all_inner_texts()]


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

    unfold(page)
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
    unfold(page)
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
    unfold(several)
    assert fits(several)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_and_figures_keep_their_own_colours(
    browser: Any, several_file: Path, scheme: str
) -> None:
    with open_page(browser, several_file.as_uri(), DESKTOP, scheme) as opened:
        unfold(opened)
        assert faint(opened) == []
        muted = opened.evaluate("getComputedStyle(document.querySelector('.counts')).color")
        ink = opened.evaluate("getComputedStyle(document.body).color")
        assert {colour for _, drawn, colour, _ in texts(opened) if drawn} == {muted, ink} != {ink}


def test_a_print_unfolds_what_matters_and_has_no_controls(several: Any) -> None:
    several.emulate_media(media="print")
    hidden = several.locator("header nav, .theme, .filter")
    assert not any(hidden.nth(i).is_visible() for i in range(hidden.count()))
    assert several.locator("details.printed table").first.evaluate(
        "own => own.checkVisibility({contentVisibilityAuto: true})"
    )
    assert not several.locator("#published table").first.evaluate("own => own.checkVisibility()")


def test_a_dark_page_prints_dark_letters_on_white(page: Any) -> None:
    page.click("#theme")
    page.click("#theme")
    look = "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    assert page.evaluate(look) == ["rgb(230, 232, 235)", "rgb(20, 23, 28)"]
    page.emulate_media(media="print")
    assert page.evaluate(look) == ["rgb(26, 29, 33)", "rgb(255, 255, 255)"]


def test_a_screen_reader_finds_every_part_by_role_and_name(several: Any) -> None:
    unfold(several)
    assert nameless(several) == []
    found = roles(several)
    for role, name in (
        ("heading", "Does quantization-aware training improve domain generalization, under every quantizer?"),
        ("region", "Can I trust it?"),
        ("combobox", "Weight averaging"),
        ("navigation", "Sections"),
        ("rowheader", "lsq W7"),
        ("columnheader", "coral"),
    ):
        assert (role, name) in found
    assert any(role == "figure" and name.startswith("Gain over float: ") for role, name in found)
    assert any(role == "graphics-symbol" and "gain over float, points: " in name for role, name in found)
    several.locator(".gain:visible").first.press("Enter")
    assert several.get_by_role("dialog", name="Records behind this number").is_visible()


def test_the_keyboard_reaches_everything_and_what_it_reaches_is_seen(several: Any) -> None:
    several.keyboard.press("Tab")
    assert several.evaluate("document.activeElement.textContent") == "Skip to the answer"
    seen = """() => { const own = document.activeElement, at = own.getBoundingClientRect();
      return own.matches(':focus-visible') && at.width > 0 && parseFloat(getComputedStyle(own).outlineWidth) > 0; }"""
    wanted = several.evaluate(
        "[...document.querySelectorAll('a, button, select, summary')].filter(own => own.checkVisibility()).length"
    )
    reached = 1
    for _ in range(3 * wanted):
        several.keyboard.press("Tab")
        if several.evaluate("document.activeElement === document.body"):
            break
        assert several.evaluate(seen), several.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        reached += several.evaluate("document.activeElement.matches('a, button, select, summary')")
    assert reached == wanted > 40


@pytest.fixture(scope="module")
def cell_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a real record, with weights of a long name."""
    record = next(r for r in RunStore(OLD).records() if isinstance(r, Record) and r.rows)
    settings = {**record.settings, "model": {"name": "resnet18", "weights": f"{'w' * 60}.safetensors"}}
    file = tmp_path_factory.mktemp("cell") / "cells" / "cell.html"
    file.parent.mkdir()
    file.write_text(render_cell(replace(record, settings=settings), [], "../index.html"), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_cell_fits_a_phone_and_is_read_by_all(browser: Any, cell_file: Path, scheme: str) -> None:
    with open_page(browser, cell_file.as_uri(), scheme=scheme) as opened:
        unfold(opened)
        assert "w" * 60 in opened.inner_text("main")
        assert fits(opened)
        assert faint(opened) == []
        assert nameless(opened) == []


def test_a_number_leads_to_the_page_of_its_cell_and_back(page: Any) -> None:
    page.locator(".trace:visible, .gain:visible").first.click()
    page.locator("#records li a").first.click()
    page.wait_for_selector("h1")
    assert "quantdg run" in page.inner_text("main") or "No command" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("text=Back to the report")
    page.wait_for_url("**/page.html")
