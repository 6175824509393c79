"""The JavaScript that draws figures on a page, kept in the user's cache folder: bundling it anew takes over a second."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert  # type: ignore[import-untyped,unused-ignore]

from ...bench.results.files import write_atomic
from ...bench.results.folder import read_with_status
from ...core.errors import QuantDGError
from ...core.paths import default_cache
from .rendering import VEGA_LITE

_START = "window.vegaEmbed = vegaEmbed;"


@cache
def bundle() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed, with the interpreter that needs no ``unsafe-eval``.

    It depends on the version of vl-convert alone, so it is kept under that. A kept file that is damaged, or that belongs to
    another user, who could put anything into the page, is not used; where none can be kept, every process bundles.
    """
    place = _place()
    kept = "" if place is None else _kept(place)
    if kept:
        return kept
    made = str(vl_convert.javascript_bundle(_START, vl_version=VEGA_LITE))
    if place is not None:
        _keep(place, made)
    return made


def _place() -> Path | None:
    """Where it is kept; None where this user has no folder for it."""
    name = hashlib.sha256(f"{version('vl-convert-python')} {VEGA_LITE} {_START}".encode()).hexdigest()[:16]
    try:
        return default_cache() / "javascript" / f"vega-{name}.js"
    except QuantDGError:
        return None


def _kept(place: Path) -> str:
    """The text that is kept; empty without a sound one of this user."""
    try:
        data, status = read_with_status(os.fspath(place))
    except (FileNotFoundError, QuantDGError):
        return ""
    digest, _, text = data.partition(b"\n")
    sound = digest.decode("ascii", "replace") == _digest(text)
    return text.decode() if sound and status.st_uid == os.geteuid() else ""


def _keep(place: Path, text: str) -> None:
    try:
        write_atomic(place, f"{_digest(text.encode())}\n{text}")
    except QuantDGError:
        return


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
