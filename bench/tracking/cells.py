"""From a record to what a tracking tool shows of it."""

from __future__ import annotations

import math
from dataclasses import asdict
from statistics import fmean
from typing import Any

from ...core.nested import leaves
from ..results.record import Record
from .tracker import Setting, TrackedCell

CURVES = {
    "train_loss": "train/loss",
    "source_acc": "source_validation/accuracy",
    "source_loss": "source_validation/loss",
    "target_out": "target/out_accuracy",
}
"""Of a record's curve: the name there and the name in a tool; ``target_out`` is of the target's 20 % part."""


def tracked_cell(record: Record, version: str, ended: float) -> TrackedCell:
    """Return a record that is ``done`` as a tool takes it."""
    return TrackedCell(
        record.key,
        record.labels.path,
        version,
        asdict(record.labels),
        settings={name: _plain(value) for name, value in leaves(record.settings)},
        curves=_curves(record),
        final=_final(record),
        ended=ended,
    )


def _plain(value: Any) -> Setting:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _curves(record: Record) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in record.curve:
        for name, value in point.items():
            if name != "step" and math.isfinite(value):
                curves.setdefault(CURVES.get(name, f"curve/{name}"), []).append((int(point["step"]), float(value)))
    return curves


def _final(record: Record) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, row in record.rows.items():
        found |= {f"{name}/step": row.step, f"{name}/target_in": row.target_in, f"{name}/target_out": row.target_out}
        found[f"{name}/source_validation"] = fmean(row.source_out.values()) if row.source_out else math.nan
        found[f"{name}/source_validation_loss"] = row.source_loss
    if record.sizes is not None:
        found |= {"size/packed_bytes": record.sizes.packed_file, "size/float_bytes": record.sizes.float_file}
    found |= {f"time/{name}": seconds for name, seconds in record.timings.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}
