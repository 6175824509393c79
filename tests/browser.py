"""A headless Chromium for tests of pages, and what every page must keep: silence, no network, a phone's width, contrast."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESKTOP = 390, 1280
_CONTRAST = """() => {
  const canvas = document.createElement("canvas"), brush = canvas.getContext("2d", {willReadFrequently: true});
  const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = colours => {
    brush.clearRect(0, 0, 1, 1);
    colours.forEach(colour => { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); });
    return light([...brush.getImageData(0, 0, 1, 1).data].slice(0, 3));
  };
  const found = [];
  document.querySelectorAll("body *").forEach(own => {
    const text = [...own.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).map(n => n.data.trim())[0];
    if (!text || own.closest("script, .vh") || !own.checkVisibility({visibilityProperty: true})) { return; }
    const under = [], look = getComputedStyle(own), drawn = own.closest("svg") !== null;
    for (let at = own; at; at = at.parentElement) { under.unshift(getComputedStyle(at).backgroundColor); }
    const [a, b] = [over(under), over([...under, drawn ? look.fill : look.color])];
    found.push([text, drawn, drawn ? look.fill : look.color, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  });
  return found;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """A Chromium without a window, of this machine or playwright's own; the test is skipped where there is none."""
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed: make browser, or pip install 'quantdg[browser]'")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as driver:
        own = driver.chromium.executable_path
        path = next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
        if path is None:
            pytest.skip(f"no browser: install one of {', '.join(NAMES)}, or run playwright install chromium")
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def open_page(
    browser: Any, url: str, width: int = PHONE, scheme: str = "light", *, excused: str | None = None
) -> Iterator[Any]:
    """A page, which must log nothing but what holds ``excused``, and ask for nothing that is not beside or below it."""
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_default_timeout(10_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    page.close()
    assert [line for line in said if excused is None or excused not in line] == []
    assert [other for other in asked if not other.startswith((url.rpartition("/")[0], "data:"))] == []


def unfold(page: Any) -> None:
    """Open every fold, and wait until every figure is drawn."""
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    page.wait_for_function("() => [...document.querySelectorAll('.chart')].every(own => own.querySelector('svg text'))")


def fits(page: Any) -> bool:
    """Whether nothing but tables in their own boxes scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def texts(page: Any) -> list[tuple[str, bool, str, float]]:
    """Each text that is seen: itself, whether it is of a figure, its colour, its contrast to what is behind it."""
    return [tuple(found) for found in page.evaluate(_CONTRAST)]


def faint(page: Any) -> list[str]:
    """The texts that stand out less than WCAG 2 asks of small letters, 4.5 to 1 (success criterion 1.4.3)."""
    return [f"{text} {ratio:.2f}" for text, _, _, ratio in texts(page) if ratio < 4.5]


NAMED = (
    *("button", "link", "searchbox", "textbox", "combobox", "meter"),
    *("table", "region", "navigation", "dialog", "figure", "image", "graphics-symbol"),
)
"""What a screen reader announces by role and name."""


def roles(page: Any) -> list[tuple[str, str]]:
    """Role and name of each node of the accessibility tree."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node["ignored"]]
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]


def nameless(page: Any) -> list[str]:
    """The roles of `NAMED` that are there without a name."""
    return [role for role, name in roles(page) if role in NAMED and not name.strip()]
