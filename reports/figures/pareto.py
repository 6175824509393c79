"""Accuracy against what a model costs, where lower is better; a line joins the methods that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ...bench.results.record import HEADLINE, quantizer_label
from ..frames.columns import METHOD, Section, of_section
from ..frames.deployments import deployed_in
from ..frames.results import Results
from ..frames.timings import costs, setting_words
from .fields import PANEL, Field, Figure, Rows, coloured, fields, highlighted, legend_of, panels, whole

_CAPTION = "Mean over target domains and seeds; the line joins the methods that no other beats in both."
_HEIGHT = 300


def size_figures(results: Results) -> Iterator[Figure]:
    """Draw accuracy against the bytes of the packed file: medians over cells."""
    for field in fields(results):
        rows: list[dict[str, Any]] = []
        for section in field.sections:
            rows += cost_points(field, section, of_section(results.sizes, section), "packed_file")
        if rows:
            chart = _chart(field, rows, "packed file, bytes", "~s")
            yield field.finished(chart, "size", "Accuracy against file size", caption=_CAPTION, rows=rows)


def latency_figures(results: Results) -> Iterator[Figure]:
    """Draw accuracy against the milliseconds of one call, in each runtime, batch and number of threads.

    What runs on dequantized weights shows no speed of a quantized model: it is drawn where nothing else was measured.
    """
    for field in fields(results):
        rows: list[dict[str, Any]] = []
        for section in field.sections:
            for setting, frame in _measured(results, section):
                rows += cost_points(field, section, frame, "ms", measured=setting)
        if rows:
            chart = _chart(field, rows, "time of one call, ms", "~g", "measured")
            yield field.finished(chart, "latency", "Accuracy against latency", caption=_CAPTION, rows=rows)


def _measured(results: Results, section: Section) -> Iterator[tuple[str, pd.DataFrame]]:
    integers = [*costs(deployed_in(results.deployed, section), results.roles)]
    yield from integers
    if integers:
        return
    eager = of_section(results.latency, section)
    single = eager["machine"].nunique() == 1
    for (runtime, batch, threads, machine), own in eager.groupby(["runtime", "batch", "threads", "machine"]):
        said = setting_words(runtime, batch, threads)
        yield said if single else f"{said}, {machine}", own.assign(ms=own["median_ms"])


def cost_points(field: Field, section: Section, cost: pd.DataFrame, column: str, **named: str) -> list[dict[str, Any]]:
    """List cost and mean accuracy in percent of a section's complete methods, by source validation; those on the frontier say so."""
    median = cost.groupby(METHOD)[column].median()
    out: list[dict[str, Any]] = []
    for method, accuracy in whole(field.results.cubes[section], HEADLINE):
        if method[:3] in median.index and median[method[:3]] > 0:
            labels = {PANEL: field.panel(section), "algorithm": method[0], "quantizer": quantizer_label(*method[1:3])}
            out.append({**labels, **named, "cost": float(median[method[:3]]), "accuracy": float(accuracy.mean())})
    best = -np.inf
    for row in sorted(out, key=lambda own: (own["cost"], -own["accuracy"])):
        row["frontier"], best = row["accuracy"] > best, max(best, row["accuracy"])
    return out


def _chart(field: Field, rows: Rows, cost: str, form: str, choice: str = "") -> alt.TopLevelMixin:
    picked = alt.selection_point(fields=["quantizer"], bind="legend")
    span = [row["cost"] for row in rows]
    alone = [span[0] / 2, span[0] * 2] if len({*span}) == 1 else alt.Undefined
    scale = alt.Scale(type="log", nice=False, padding=20, domain=alone)
    base = alt.Chart().encode(
        x=alt.X("cost:Q", title=f"{cost} (log scale)", scale=scale, axis=alt.Axis(format=form, labelOverlap=True)),
        y=alt.Y("accuracy:Q", title="accuracy on the targets, %", scale=alt.Scale(zero=False, padding=14)),
    )
    said = [
        alt.Tooltip("cost:Q", title=cost, format=",.4~g"),
        alt.Tooltip("accuracy:Q", title="accuracy, %", format=".2f"),
    ]
    marks = (
        base.mark_point(style="dot", filled=True, size=80)
        .properties(name="marks")
        .encode(
            color=coloured(field.quantizers, legend_of(rows, field.quantizers)),
            shape=alt.Shape("algorithm:N", sort=None),
            opacity=highlighted(picked),
            tooltip=[alt.Tooltip("algorithm:N"), alt.Tooltip("quantizer:N"), *said],
        )
    )
    line = base.transform_filter("datum.frontier").mark_line(style="frontier")
    return panels(
        alt.layer(line, marks.add_params(picked)), rows, height=_HEIGHT, choice=choice, x="independent", y="independent"
    )
