"""What happens while a model is trained: accuracy on sources and target, and the noise of its weights, over steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from ...bench.results.record import HEADLINE, quantizer_label
from ..frames.results import Results
from .fields import PANEL, Field, fields, whole
from .lines import Axis, lines, means

_PLACES = {"target_out": "target, 20 % part", "source_acc": "source validation"}
_STEP = Axis("step", "optimizer step")
_CAPTION = "Mean over targets and seeds; complete methods only."


def training_figures(results: Results) -> Iterator[alt.TopLevelMixin]:
    """Draw the accuracy on the target's held-out part and on source validation."""
    for field in fields(results):
        rows = [
            {**row, "accuracy": 100 * row[column], "measured on": said, column: None}
            for column, said in _PLACES.items()
            for row in over_steps(field, column)
        ]
        if rows:
            chart = lines(rows, field.quantizers, _STEP, Axis("accuracy", "accuracy, %", ".2f"), choice="measured on")
            yield field.finished(chart, "training", "Accuracy while training", caption=_CAPTION)


def weight_noise_figures(results: Results) -> Iterator[alt.TopLevelMixin]:
    """Draw the noise-to-signal ratio of the weights, from insertion on."""
    for field in fields(results):
        rows = [*over_steps(field, "noise")]
        if rows:
            chart = lines(rows, field.quantizers, _STEP, Axis("noise", "noise-to-signal ratio of the weights"))
            yield field.finished(chart, "noise", "Weight noise while training", caption=_CAPTION)


def over_steps(field: Field, column: str) -> Iterator[dict[str, Any]]:
    """Yield the mean over targets and seeds at each step, of the methods that have every cell and every cell's curve."""
    for section, cube in field.cubes:
        named = {
            key: (field.panel(section, method[0]), quantizer_label(method[1], method[2]))
            for method, _ in whole(cube, HEADLINE)
            for key in cube.keys_of(method)
        }
        place = {label: i for i, label in enumerate(dict.fromkeys(named.values()))}
        own = field.results.curves.assign(method=field.results.curves["key"].map(named)).dropna(subset="method")
        cells = own.groupby("method")["key"].transform("nunique")
        found = [*means(own[cells == cube.accuracy[0].size], "method", "step", column)]
        for row in sorted(found, key=lambda row: place[row["method"]]):
            panel, quantizer = row.pop("method")
            yield {PANEL: panel, "quantizer": quantizer, **row}
