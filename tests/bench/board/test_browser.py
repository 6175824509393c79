"""The board in a real headless Chromium."""

from __future__ import annotations

import pytest

from tests.browser import DESKTOP, PHONE, faint, fits, nameless, open_page, roles

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_the_page_follows_the_folder_and_is_read_by_all(browser, served, width, scheme):
    made, server = served
    made.write("digits/plain/0/erm/lsq/W7")
    made.write("digits/plain/1/erm/lsq/W7", "failed", f"no {'m' * 90}")
    with open_page(browser, server.url, width, scheme) as page:
        page.wait_for_selector("#latest tbody tr")
        assert "8 cells: 1 done, 6 waiting, 1 failed" in page.inner_text("#counts")
        made.write("digits/thick/0/erm/lsq/W7")
        page.wait_for_function("() => document.getElementById('counts').textContent.includes('2 done')")
        assert page.locator("#latest tbody tr").count() == 2
        assert page.title().startswith("37 %")
        assert fits(page)
        assert faint(page) == []
        assert nameless(page) == []
        assert {("table", "cells by state"), ("rowheader", "lsq W7"), ("heading", "Failures")} <= {*roles(page)}


def test_a_folder_that_is_gone_is_said_until_it_is_back(browser, served, monkeypatch):
    _, server = served

    def gone():
        raise OSError("gone")

    with open_page(browser, server.url, excused="503") as page:
        page.wait_for_selector("#grid tbody tr")
        lost = page.locator("#lost")
        assert not lost.is_visible()
        with monkeypatch.context() as patched:
            patched.setattr(server.reader, "read", gone)
            lost.wait_for(state="visible")
            assert (lost.inner_text(), lost.get_attribute("role")) == ("the folder cannot be read: gone", "alert")
        lost.wait_for(state="hidden")
