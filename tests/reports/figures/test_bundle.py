"""The page's JavaScript is bundled once for a version of vl-convert, and nothing but what this user has bundled is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vl_convert

from quantdg.reports.figures import bundle as module
from quantdg.reports.figures.bundle import bundle

JS = "window.漢 = 1;\nwindow.b = 2;"


class _Bundler:
    """Stands for vl-convert's, which takes over a second."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, start: str, *, vl_version: str) -> str:
        self.calls += 1
        assert "vegaEmbed" in start and vl_version == "6.4"
        return JS


@pytest.fixture
def bundler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Bundler]:
    made = _Bundler()
    monkeypatch.setenv("QUANTDG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", made)
    bundle.cache_clear()
    yield made
    bundle.cache_clear()


def _in_another_process() -> str:
    bundle.cache_clear()
    return bundle()


def _file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "cache" / "javascript").glob("*")
    return file


def test_other_processes_find_it(bundler: _Bundler, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [_in_another_process() for _ in range(3)] == [JS] * 3
    assert bundler.calls == 1
    monkeypatch.setattr(module, "version", lambda _: "99")
    assert _in_another_process() == JS
    assert bundler.calls == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes() + b"alert(1)"),
        lambda file: file.write_bytes(b"\xff\n"),
        lambda file: file.write_bytes(b""),
        lambda file: (file.rename(file.parent / "x"), file.symlink_to(file.parent / "x")),
    ],
)
def test_a_damaged_one_is_made_again(bundler: _Bundler, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    bundle()
    damage(_file(tmp_path))
    assert _in_another_process() == _in_another_process() == JS
    assert bundler.calls == 2


def test_that_of_another_user_is_not_used(bundler: _Bundler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle()
    monkeypatch.setattr(os, "geteuid", lambda: 123456)
    assert _in_another_process() == JS
    assert bundler.calls == 2


def test_without_a_folder_every_process_bundles(bundler: _Bundler, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert [_in_another_process() for _ in range(2)] == [JS] * 2
    assert bundler.calls == 2
