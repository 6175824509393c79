"""What happens while a model is trained: accuracy on sources and target, and the noise of its weights, over steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bench.results.record import HEADLINE, quantizer_label
from ..frames.results import Results
from .fields import PANEL, Field, Figure, fields, whole
from .lines import Axis, lines

_PLACES = {"target_out": "target, 20 % part", "source_acc": "source validation"}
_STEP = Axis("step", "optimizer step")
_CAPTION = "Mean over targets and seeds; complete methods only."


def training_figures(results: Results) -> Iterator[Figure]:
    """Draw the accuracy on the target's held-out part and on source validation."""
    for field in fields(results):
        found = [*over_steps(field, *_PLACES)]
        rows = [
            {PANEL: row[PANEL], "quantizer": row["quantizer"], "step": row["step"], "measured on": said}
            | {"accuracy": 100 * row[column]}
            for column, said in _PLACES.items()
            for row in found
            if np.isfinite(row[column])
        ]
        if rows:
            chart = lines(rows, field.quantizers, _STEP, Axis("accuracy", "accuracy, %", ".2f"), choice="measured on")
            yield field.finished(chart, "training", "Accuracy while training", caption=_CAPTION, rows=rows)


def weight_noise_figures(results: Results) -> Iterator[Figure]:
    """Draw the noise-to-signal ratio of the weights, from insertion on."""
    for field in fields(results):
        rows = [row for row in over_steps(field, "noise") if np.isfinite(row["noise"])]
        if rows:
            chart = lines(rows, field.quantizers, _STEP, Axis("noise", "noise-to-signal ratio of the weights"))
            yield field.finished(chart, "noise", "Weight noise while training", caption=_CAPTION, rows=rows)


def over_steps(field: Field, *columns: str) -> Iterator[dict[str, Any]]:
    """Yield the means over targets and seeds at each step, of the methods that have every cell and every cell's curve."""
    labels: list[tuple[str, str]] = []
    wanted: list[int] = []
    place: dict[str, int] = {}
    for section, cube in field.cubes:
        for method, accuracy in whole(cube, HEADLINE):
            place |= dict.fromkeys(cube.keys_of(method), len(labels))
            labels.append((field.panel(section, method[0]), quantizer_label(method[1], method[2])))
            wanted.append(accuracy.size)
    curves = field.results.curves
    own = curves.assign(place=curves["key"].map(place)).dropna(subset="place")
    cells = own[["place", "key"]].drop_duplicates().groupby("place").size()
    complete = [i for i, count in cells.items() if count == wanted[int(i)]]  # type: ignore[call-overload]
    found = own[own["place"].isin(complete)].groupby(["place", "step"])[[*columns]].mean().reset_index()
    for row in found.to_dict("records"):
        panel, quantizer = labels[int(row.pop("place"))]
        yield {PANEL: panel, "quantizer": quantizer, **{str(name): value for name, value in row.items()}}
