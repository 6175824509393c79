"""The page in a real headless Chromium; skipped where playwright or a Chromium is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantdg.bench.results.store import RunStore
from quantdg.reports.page.page import write_html
from quantdg.reports.report import Report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def page(golden: RunStore, tmp_path: Path) -> Iterator[Any]:
    """The golden page, opened; it must ask the network for nothing and log nothing."""
    said: list[str] = []
    asked: list[str] = []
    file = write_html(Report.of(golden.root), tmp_path / "page.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(file.as_uri())
        yield opened
        browser.close()
    assert said == []
    assert asked == [file.as_uri()]


def _column(page: Any, table: str, i: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr:not([hidden]) td:nth-child({i})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_sorting_filtering_tracing_and_theme(page: Any) -> None:
    table = page.locator("table", has_text="gain over float").first.get_attribute("id")
    head = page.locator(f"#{table} th", has_text="art")
    head.locator("button").click()
    assert _column(page, table, 5) == sorted(_column(page, table, 5))
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert _column(page, table, 5) == sorted(_column(page, table, 5), reverse=True)

    published = page.locator("#published table").get_attribute("id")
    page.fill(f"#f-{published}", "pacs W8")
    assert _column(page, published, 5) == ["W8"]

    page.locator(".trace").first.focus()
    page.keyboard.press("Enter")
    assert len(page.locator("#records li").all_inner_texts()) == 12  # the verdict's gain: lsq and its float partners
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('records').open")

    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.click("#theme")
    assert page.evaluate(colour) == "rgb(255, 255, 255)" != dark


def test_fits_a_phone(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
