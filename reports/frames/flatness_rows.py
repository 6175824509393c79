"""Flatness as rows: one for each measure of a record.

gap = mean source-validation accuracy - target accuracy, in points, of the weights that source validation selects
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...bench.results.record import HEADLINE, Record

FLATNESS = ["target", "weights", "measure", "place", "value", "gap"]
PLACES = ("source", "target")
SCALARS = {
    "trace": ("trace", "mean"),
    "top eigenvalue": ("top", "value"),
    "log det K": ("tangent", "value"),
    "log R": ("iic", "log_distance"),
    "IIC": ("iic", "value"),
}
"""Measure -> where a record has it: entry, without the place, and field."""


def flatness_rows(record: Record) -> list[dict[str, Any]]:
    """Make one row for each measure of a record, columns key and FLATNESS; none where none was taken."""
    row = record.rows.get(HEADLINE)
    found = record.flatness
    if row is None or not found or not row.source_out:
        return []
    gap = 100 * (sum(row.source_out.values()) / len(row.source_out) - row.target_in)
    known = {"key": record.key, "target": str(record.labels.target), "gap": gap}
    return [
        {**known, "weights": weights, "measure": measure, "place": place, "value": float(value)}
        for weights in ("deployed", "latent")
        if weights in found
        for measure, place, value in _values(found[weights], found["settings"])
        if value is not None
    ]


def _values(found: dict[str, Any], settings: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for place in PLACES:
        for radius, value in zip(settings["radii"], found[f"local_{place}"], strict=True):
            yield f"F({float(radius):g})", place, value
        for radius, value in zip(settings["rhos"], found.get(f"sam_{place}", ()), strict=False):
            yield f"SAM({float(radius):g})", place, value
        for name, (key, field) in SCALARS.items():
            if f"{key}_{place}" in found:
                yield name, place, found[f"{key}_{place}"][field]
