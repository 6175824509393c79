"""What a model costs: bytes of the files written, and milliseconds measured."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from ..frames.columns import FLOAT, METHOD, ordered
from ..frames.record_rows import SIZES
from ..frames.results import Results
from ..frames.roles import Roles
from .by_section import by_section
from .table import Table, traced

_RUN = ["runtime", "arithmetic", "batch", "threads", "size", "machine"]
FLOAT_ARITHMETIC = (
    "Arithmetic float32 for a quantized model: it was run on dequantized weights, so the row shows no integer speed."
)


def _span(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"


def size_table(sizes: pd.DataFrame, name: str, title: str, roles: Roles) -> Table:
    """Make the table of bytes by method of one section: medians over its cells, in text their range."""
    groups = sizes.groupby(METHOD, sort=False)
    median = groups[SIZES].median()
    median["ratio"] = median["packed_file"] / median["float_file"]
    median["n"] = groups.size()
    ends = [frame.add_suffix(end) for frame, end in ((groups[SIZES].min(), "_min"), (groups[SIZES].max(), "_max"))]
    numbers = ordered(pd.concat([median, *ends], axis=1).reset_index(), roles)
    rows = []
    for line in numbers.to_dict("records"):
        spans = {c.replace("_", " "): _span(line[f"{c}_min"], line[f"{c}_max"]) for c in SIZES}
        named = {c: str(line[c]) for c in METHOD}
        rows.append({**named, **spans, "packed / float": f"{line['ratio']:.4f}", "cells": str(line["n"])})
    order = [*METHOD, "float file", "packed file", "packed / float", "codes", "scales", "rest", "cells"]
    notes = (
        "Bytes of files written and read back; codes, scales and rest are the tensor bytes inside the packed file.",
        "A range where the cells differ; the ratio is between medians.",
    )
    keys = groups["key"].unique().loc[pd.MultiIndex.from_frame(numbers[METHOD])]
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows, columns=order),
        numbers=numbers,
        labels=3,
        notes=notes,
        traces=traced("cells", keys),
    )


def latency_table(latency: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of milliseconds a call by method, runtime and machine: medians over the measured models."""
    values = ["median_ms", "q25_ms", "q75_ms", "ratio"]
    groups = latency.groupby([*METHOD, *_RUN], sort=False)
    numbers = groups[values].median()
    numbers["rounds"] = groups["rounds"].min()
    numbers["n"] = groups.size()
    numbers, keys = numbers.reset_index(), groups["key"].unique()
    text = pd.DataFrame(
        {
            **{c: numbers[c].astype(str) for c in [*METHOD, "runtime", "arithmetic"]},
            "ms a call": [f"{v:.3f}" for v in numbers["median_ms"]],
            "quartiles": [f"{a:.3f}–{b:.3f}" for a, b in zip(numbers["q25_ms"], numbers["q75_ms"], strict=True)],
            "ratio to float": [f"{v:.3f}" for v in numbers["ratio"]],
            **{c: numbers[c].astype(str) for c in ["batch", "threads"]},
            "pixels": numbers["size"].astype(str),
            "rounds": numbers["rounds"].astype(str),
            "models": numbers["n"].astype(str),
        }
    )
    notes = ["Wall time of one call: median and quartiles over interleaved rounds; medians over models where several."]
    machines = {machine: f"M{i}" for i, machine in enumerate(numbers["machine"].unique(), 1)}
    if len(machines) > 1:
        text["machine"] = numbers["machine"].map(machines)
    notes += [f"Machine {short}: {machine}." for machine, short in machines.items()]
    quantized = numbers[numbers["quantizer"] != FLOAT]
    eager = quantized["arithmetic"].str.startswith("float")
    if eager.any():
        notes.append(FLOAT_ARITHMETIC)
    return Table(
        name=name,
        title=title,
        text=text,
        numbers=numbers,
        labels=5,
        notes=tuple(notes),
        traces=traced("models", keys),
        aside="latency of dequantized float32 weights shows no integer speed" if len(eager) and eager.all() else "",
    )


def size_tables(results: Results) -> Iterator[Table]:
    """Make the table of file sizes of each section."""
    make = partial(size_table, roles=results.roles)
    return by_section(results, results.sizes, "size", "Model size", make=make)


def latency_tables(results: Results) -> Iterator[Table]:
    """Make the table of latencies of each section."""
    return by_section(results, results.latency, "latency", "Latency", make=latency_table)
