"""From the words of a command line to the cells of a run folder. Imports no torch."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from ...core.errors import RecordError
from .archive import MARKER
from .record import Labels, Record
from .store import CELLS, RunStore
from .summary import RecordSummary, scan
from .trials import those_that_count

_SHOWN = 5


def is_named(pattern: str, labels: Labels) -> bool:
    """Say whether a pattern (as of a shell) names this cell: its `Labels.path`, or the beginning of it up to a slash."""
    return fnmatchcase(labels.path, pattern) or fnmatchcase(labels.path, f"{pattern}/*")


def find_cells(text: str) -> tuple[RunStore, list[str]]:
    """Find the keys of the cells that ``text`` names, in the order of their paths.

    Args:
        text: ``RUNS/cells/KEY.json``, ``RUNS/KEY`` with the beginning of a key, or ``RUNS/PATTERN`` with a pattern for
            DATASET/TARGET/SEED/ALGORITHM/QUANTIZER/BITS, of which the end may be left out:
            ``runs/mine/pacs/sketch/*/erm/lsq``.

    Raises:
        RecordError: the text begins with no run folder, or names no cell of it.
    """
    path = Path(text)
    if path.parent.name == CELLS and path.suffix == ".json":
        return RunStore(path.parent.parent), [path.stem]
    store, name = _split(path)
    found = [cell for cell in scan(store) if _fits(name, cell)]
    if not found:
        raise RecordError(
            f"a cell is RUNS/KEY or RUNS/DATASET/TARGET/SEED/ALGORITHM/QUANTIZER/BITS, but {text} names none of "
            f"{store.root}; quantdg show {store.root} lists them"
        )
    found.sort(key=lambda cell: (cell.labels.path if cell.labels else "", cell.key))
    return store, [cell.key for cell in found]


def _split(path: Path) -> tuple[RunStore, str]:
    """The run folder that a path begins with, and the rest; without a rest all its cells are meant."""
    for folder in (path, *path.parents):
        if os.path.exists(folder / MARKER):
            return RunStore(folder), "" if folder == path else path.relative_to(folder).as_posix()
    raise RecordError(f"a cell is RUNS/KEY with the folder of a run, but no part of {path} is one (none has run.json)")


def _fits(name: str, cell: RecordSummary) -> bool:
    return cell.key.startswith(name) or (cell.labels is not None and is_named(name, cell.labels))


def find_cell(text: str) -> tuple[RunStore, Record]:
    """Find the one cell that ``text`` names, as for `find_cells`; of trials of a search, the one that counts.

    RecordError where it names several, or a damaged one.
    """
    store, named = find_cells(text)
    keys = those_that_count(store, named) if len(named) > 1 else named
    if not keys:
        raise RecordError(
            f"one cell is wanted, but {text} names {len(named)} trials of a search that do not count; write a key"
        )
    if len(keys) > 1:
        paths = {cell.key: cell.labels.path if cell.labels else "damaged" for cell in scan(store) if cell.key in keys}
        shown = ", ".join(f"{key} {paths.get(key, '')}" for key in keys[:_SHOWN])
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        raise RecordError(f"one cell is wanted, but {text} names {len(keys)}: {shown}{more}; write more of one")
    return store, store.load(keys[0])
