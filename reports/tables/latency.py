"""Milliseconds of the deployed cells: integer and float32 file in the same runtime, from RUNS/deploy/*.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment
from ..frames.columns import METHOD, ordered
from ..frames.roles import Roles
from ..frames.timings import CLOCKS, MS, RATIO, method_of, timed_rows
from ..text.numbers import DASH
from .table import Table, traced

_NOTES = (
    (
        "Integer and float32 file of the same cell in the same runtime, interleaved in a process of their own: median and "
        "quartiles of one call, of the ratio inside each round. CPU: time of the process; wall: of the clock."
    ),
    "integer layers: convolutions and matrix products that the runtime executes on integers, of all that it executes.",
    "size only: weights alone are quantized, so layers run in float32 and there is no integer latency.",
)


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} ({values[1]:.3f}–{values[2]:.3f})"


def timing_table(deployments: Sequence[Deployment], name: str, title: str, roles: Roles) -> Table:
    """Make the table of the timed cells; any other method that has integers, or failed, stands once with its reason."""
    shown = [d for d in deployments if d.kind != "float32"]
    have = {(*method_of(d).values(), d.runtime) for d in shown if d.timings}
    others: dict[tuple[str, ...], Deployment] = {}
    for d in shown:
        if (*method_of(d).values(), d.runtime) not in have:
            others.setdefault((*method_of(d).values(), d.runtime, d.kind, d.reason), d)
    numbers = ordered(
        pd.DataFrame([r for d in [*(x for x in shown if x.timings), *others.values()] for r in timed_rows(d)]),
        roles,
    )
    machines = {m: f"M{i}" for i, m in enumerate(dict.fromkeys(numbers.get("machine", ())), 1)}
    text = pd.DataFrame([_shown(row, machines) for row in numbers.to_dict("records")])
    notes = [*_NOTES, *(f"Machine {short}: {machine}." for machine, short in machines.items())]
    if len(text) and len(machines) == 1:
        text = text.drop(columns="machine")
    traces = traced("integer ms", ([file] for file in numbers.get("file", ())))
    return Table(
        name=name,
        title=title,
        text=text,
        numbers=numbers,
        labels=4,
        notes=tuple(notes),
        traces=traces,
    )


def _shown(row: dict[Any, Any], machines: dict[str, str]) -> dict[str, str]:
    line = {**{c: str(row[c]) for c in METHOD}, "runtime": str(row["runtime"])}
    measured = row.get("batch") is not None and not pd.isna(row["batch"])
    line["integer ms"] = _span([row[c] for c in MS]) if measured else str(row["kind"])
    line["float32 ms"] = _span([row[f"float_{c}"] for c in MS]) if measured else DASH
    line["ratio"] = _span([row[c] for c in RATIO]) if measured else DASH
    line["integer layers"] = f"{row['integer_layers']} of {row['layers']}" if row["layers"] else DASH
    line["batch"] = f"{row['batch']:.0f}" if measured else DASH
    line["clock, threads"] = f"{CLOCKS[row['clock']]}, {row['threads']:.0f}" if measured else DASH
    line["pixels"] = str(row["pixels"]) if row["pixels"] else DASH
    line["rounds"] = f"{row['rounds']:.0f}" if measured else DASH
    line["load"] = f"{row['load']:.1f}" if measured else DASH
    line["machine"] = machines[row["machine"]]
    return {**line, "reason": str(row["reason"]) if row["kind"] != "size only" else DASH}
