"""A page for each cell, beside the page of the report."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ...bench.results.deployment import FOLDER as DEPLOYED
from ...bench.results.deployment import Deployment, deployments
from ...bench.results.files import remove, write_atomic
from ...bench.results.folder import is_regular, listed
from ...bench.results.record import Record
from ...bench.results.store import CELLS, RunStore
from .cell import cell_page
from .environment import templates

FOLDER = "cells"
Which = Literal["few", "all", "none"]
MOST = 1000
"""A larger run gets its cells' pages only when asked, since 10,000 would take longer than the rest of the report."""


def render_cell(record: Record, deployed: list[Deployment], back: str, file: str = "") -> str:
    """Return the text of a cell's page; ``back`` is the address of the report's page from there, ``file`` as for `cell_page`."""
    return templates().get_template("cell.html").render(page=cell_page(record, deployed, file), back=back)


def address(place: Path, page: Path) -> str:
    """Return how a link in the file ``page`` names another file or a folder."""
    return Path(os.path.relpath(place, page.parent)).as_posix()


def write_cell_pages(root: Path, folder: Path, page: Path, *, which: Which = "few") -> int:
    """Write the pages of a run folder's cells; those of an earlier report are removed.

    Args:
        root: the run folder.
        folder: of the pages, each named after its cell's key.
        page: of the report, which they lead back to.
        which: ``few`` writes them where there are at most `MOST` cells, ``all`` always, ``none`` never.

    Returns:
        How many there are.
    """
    wanted = which == "all" or (which == "few" and len(list(listed(root, CELLS, ".json"))) <= MOST)
    records = [record for record in RunStore(root).records() if isinstance(record, Record)] if wanted else []
    known = _by_key(root) if records else {}
    for record in records:
        path = folder / f"{record.key}.html"
        text = render_cell(record, known.get(record.key, []), address(page, path), _described(root, record.key))
        write_atomic(path, text, flushed=False)
    kept = {f"{record.key}.html" for record in records}
    remove(*(path for path in _pages(folder) if path.name not in kept))
    return len(kept)


def _described(root: Path, key: str) -> str:
    """The ONNX file of a cell that says what it expects, relative to the run folder; empty where there is none."""
    file = f"{DEPLOYED}/{key}.onnx"
    return file if is_regular(root / f"{file}.json") else ""


def _pages(folder: Path) -> Iterator[Path]:
    """The pages of an earlier report: nothing else is named after a key."""
    yield from (path for path in folder.glob("*.html") if re.fullmatch(r"[0-9a-f]{16}", path.stem))


def _by_key(root: Path) -> dict[str, list[Deployment]]:
    found: dict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments(root):
        if isinstance(deployment, Deployment):
            found[deployment.key].append(deployment)
    return found
