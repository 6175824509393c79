"""Milliseconds of the deployed cells: integer and float32 file in the same runtime, from RUNS/deploy/*.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import pandas as pd

from quantdg.bench.deploy.records import Deployment, Timing
from quantdg.reports.evidence import described
from quantdg.reports.order import FLOAT, METHOD, ordered
from quantdg.reports.tables import Table, traced

_NONE = "—"
_MS = ("median_ms", "q25_ms", "q75_ms")
_RATIO = ("ratio", "ratio_q25", "ratio_q75")
_CLOCKS = {"cpu": "CPU", "wall": "wall"}
_NOTES = (
    (
        "Integer and float32 file of the same cell in the same runtime, interleaved in a process of their own: median and "
        "quartiles of one call, of the ratio inside each round. CPU: time of the process; wall: of the clock."
    ),
    "integer layers: convolutions and matrix products that the runtime executes on integers, of all that it executes.",
    "size only: weights alone are quantized, so layers run in float32 and there is no integer latency.",
)


def _method(d: Deployment) -> dict[str, str]:
    return {c: str(getattr(d.labels, c)) for c in METHOD}


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} ({values[1]:.3f}–{values[2]:.3f})"


def _timed(d: Deployment) -> list[dict[str, Any]]:
    """One row a measurement; one without numbers for a model that has none."""
    base = {**_method(d), "runtime": d.runtime, "kind": d.kind, "reason": d.reason, "pixels": d.size}
    base |= {
        "integer_layers": d.integer_layers,
        "layers": d.layers,
        "machine": described(d.machine),
        "key": d.key,
        "file": d.file,
    }
    return [{**base, **_measured(t)} for t in d.timings] or [base]


def _measured(t: Timing) -> dict[str, Any]:
    floats = {f"float_{part}": value for part, value in zip(_MS, t.float_ms, strict=True)}
    own = {f: getattr(t, f) for f in ("batch", "threads", "clock", *_MS, *_RATIO, "rounds", "calls", "load")}
    return {**own, **floats}


def timings(deployments: Sequence[Deployment]) -> pd.DataFrame:
    """Everything measured, a row each, in reading order; empty without measurements."""
    return ordered(pd.DataFrame([row for d in deployments if d.timings for row in _timed(d)]))


def timing_table(deployments: Sequence[Deployment], name: str, title: str) -> Table:
    """Latency of the timed cells; each other method that has integers, or failed, once with its label and reason."""
    shown = [d for d in deployments if d.kind != "float32"]
    have = {(*_method(d).values(), d.runtime) for d in shown if d.timings}
    others: dict[tuple[str, ...], Deployment] = {}
    for d in shown:
        if (*_method(d).values(), d.runtime) not in have:
            others.setdefault((*_method(d).values(), d.runtime, d.kind, d.reason), d)
    numbers = ordered(
        pd.DataFrame([r for d in [*(x for x in shown if x.timings), *others.values()] for r in _timed(d)])
    )
    machines = {m: f"M{i}" for i, m in enumerate(dict.fromkeys(numbers.get("machine", ())), 1)}
    text = pd.DataFrame([_shown(row, machines) for row in numbers.to_dict("records")])
    notes = [*_NOTES, *(f"Machine {short}: {machine}." for machine, short in machines.items())]
    if len(text) and len(machines) == 1:
        text = text.drop(columns="machine")
    traces = traced("integer ms", ([file] for file in numbers.get("file", ())))
    return Table(name, title, text, numbers, 4, tuple(notes), traces)


def _shown(row: dict[Any, Any], machines: dict[str, str]) -> dict[str, str]:
    line = {**{c: str(row[c]) for c in METHOD}, "runtime": str(row["runtime"])}
    measured = row.get("batch") is not None and not pd.isna(row["batch"])
    line["integer ms"] = _span([row[c] for c in _MS]) if measured else str(row["kind"])
    line["float32 ms"] = _span([row[f"float_{c}"] for c in _MS]) if measured else _NONE
    line["ratio"] = _span([row[c] for c in _RATIO]) if measured else _NONE
    line["integer layers"] = f"{row['integer_layers']} of {row['layers']}" if row["layers"] else _NONE
    line["batch"] = f"{row['batch']:.0f}" if measured else _NONE
    line["clock, threads"] = f"{_CLOCKS[row['clock']]}, {row['threads']:.0f}" if measured else _NONE
    line["pixels"] = str(row["pixels"]) if row["pixels"] else _NONE
    line["rounds"] = f"{row['rounds']:.0f}" if measured else _NONE
    line["load"] = f"{row['load']:.1f}" if measured else _NONE
    line["machine"] = machines[row["machine"]]
    return {**line, "reason": str(row["reason"]) if row["kind"] != "size only" else _NONE}


def costs(deployments: Sequence[Deployment]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(what was measured, METHOD and ``ms``) of each setting: integer files, and the float32 file as float's cost."""
    frame = timings(deployments)
    if frame.empty:
        return
    for (runtime, machine, batch, clock, threads), own in frame.groupby(
        ["runtime", "machine", "batch", "clock", "threads"], sort=False
    ):
        points = [{**{c: row[c] for c in METHOD}, "ms": row["median_ms"]} for row in own.to_dict("records")]
        for algorithm, rows in own.groupby("algorithm", sort=False):
            floats = {"algorithm": algorithm, "quantizer": FLOAT, "bits": FLOAT}
            points.append({**floats, "ms": median(rows["float_median_ms"])})
        said = f"{runtime}, batch {batch}, {_CLOCKS[str(clock)]} time, {threads} threads, {machine}"
        yield said, pd.DataFrame(points)
