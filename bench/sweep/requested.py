"""The cells that were asked for, kept in the folder so that status knows what is missing. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import RecordError
from ..results.files import write_first
from ..results.record import Labels, fingerprint
from ..results.store import RunStore

if TYPE_CHECKING:
    from ..experiment.grid import Cell


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
    path = store.root / "plans" / f"{name}.json"
    if not path.exists():
        write_first(path, json.dumps(groups))


def read_grids(store: RunStore) -> dict[str, RequestedCell]:
    """Return all cells that were ever asked for in this folder, by key; RecordError for a damaged file."""
    return {cell.key: cell for cell in _read(store)}


def _read(store: RunStore) -> Iterator[RequestedCell]:
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            for group, node in json.loads(path.read_text()).items():
                steps, shared = node["steps"]
                for key, *labels in node["cells"]:
                    yield RequestedCell(key, group, Labels(*labels), steps, shared_steps=shared)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                f"{path} is not a whole plan ({error}); delete it, the next run writes it anew"
            ) from error
