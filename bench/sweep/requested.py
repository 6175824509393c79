"""The cells that were asked for, kept in the folder so that status knows what is missing. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.errors import RecordError
from ..results.changes import ReadFolder
from ..results.codec import WRONG
from ..results.files import write_first
from ..results.folder import check_key
from ..results.record import LABELS, Labels, fingerprint
from ..results.store import RunStore, Unreadable, parsed_file

if TYPE_CHECKING:
    from ..experiment.grid import Cell
FOLDER = "plans"


@dataclass(frozen=True)
class RequestedCell:
    """Somebody asked for this cell: its key and group, its labels, its steps past and up to the start step."""

    key: str
    group: str
    labels: Labels
    steps: int
    shared_steps: int


def write_grid(store: RunStore, cells: Sequence[Cell]) -> None:
    """Note a grid; the same grid again changes nothing."""
    groups: dict[str, dict[str, Any]] = {}
    for cell in cells:
        protocol = cell.group.protocol
        node = groups.setdefault(
            cell.group.key, {"steps": [protocol.steps - protocol.start_step, protocol.start_step], "cells": []}
        )
        node["cells"].append([cell.key, *astuple(cell.labels)])
    name = fingerprint([cell.key for cell in cells])
    path = store.path(f"{FOLDER}/{name}.json")
    if not path.exists():
        write_first(path, json.dumps(groups))


def read_grids(store: RunStore) -> tuple[dict[str, RequestedCell], list[Unreadable]]:
    """Return all cells that were ever asked for in this folder, by key, and the files that say nothing readable."""
    return RequestedCells(store).update()


class RequestedCells:
    """These are the grids of a folder for one who looks again and again: a plan is read once.

    Args:
        store: the run folder.
    """

    def __init__(self, store: RunStore) -> None:
        self._plans: ReadFolder[list[RequestedCell] | Unreadable] = ReadFolder(
            store.root, FOLDER, partial(parsed_file, parse=_parse)
        )

    def update(self) -> tuple[dict[str, RequestedCell], list[Unreadable]]:
        """Return what `read_grids` does."""
        cells: dict[str, RequestedCell] = {}
        damaged = []
        for _, found in sorted(self._plans.update().items()):
            if isinstance(found, Unreadable):
                damaged.append(found)
            else:
                cells.update((cell.key, cell) for cell in found)
        return cells, damaged


def _parse(text: str, path: Path) -> list[RequestedCell]:
    try:
        groups = msgspec.json.decode(text, type=dict[str, _Node])
        found = [
            RequestedCell(str(key), group, _labels(values), node.steps[0], shared_steps=node.steps[1])
            for group, node in groups.items()
            for key, *values in node.cells
        ]
        for cell in found:
            check_key(cell.key, "a cell")
    except (RecordError, *WRONG) as error:
        raise RecordError(f"{path} is not a whole plan ({error}); delete it, the next run writes it anew") from error
    return found


def _labels(values: Sequence[str | int]) -> Labels:
    return msgspec.convert(dict(zip(LABELS, values, strict=True)), Labels)


class _Node(msgspec.Struct):
    steps: tuple[int, int]
    cells: list[list[str | int]]
    """Each a key, then the values of `Labels` in order."""
