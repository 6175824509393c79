"""What was timed in integer runtimes, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment, Timing
from .columns import FLOAT, METHOD, ordered
from .record_rows import machine_words
from .roles import Roles

MS = ("median_ms", "q25_ms", "q75_ms")
RATIO = ("ratio", "ratio_q25", "ratio_q75")
CLOCKS = {"cpu": "CPU", "wall": "wall"}


def method_of(d: Deployment) -> dict[str, str]:
    """Return the METHOD columns of a deployment."""
    return {c: str(getattr(d.labels, c)) for c in METHOD}


def timed_rows(d: Deployment) -> list[dict[str, Any]]:
    """Make one row a measurement, and one without numbers for a model that has none."""
    base = {**method_of(d), "runtime": d.runtime, "kind": d.kind, "reason": d.reason, "pixels": d.size}
    base |= {
        "integer_layers": d.integer_layers,
        "layers": d.layers,
        "machine": machine_words(d.machine),
        "key": d.key,
        "file": d.file,
    }
    return [{**base, **_measured(t)} for t in d.timings] or [base]


def _measured(t: Timing) -> dict[str, Any]:
    floats = {f"float_{part}": value for part, value in zip(MS, t.float_ms, strict=True)}
    own = {f: getattr(t, f) for f in ("batch", "threads", "clock", *MS, *RATIO, "rounds", "calls", "load")}
    return {**own, **floats}


def timings(deployments: Sequence[Deployment], roles: Roles) -> pd.DataFrame:
    """List everything measured, a row each, in reading order; empty without measurements."""
    return ordered(pd.DataFrame([row for d in deployments if d.timings for row in timed_rows(d)]), roles)


def costs(deployments: Sequence[Deployment], roles: Roles) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield runtime, batch, threads and clock in words and a frame of METHOD and ``ms``, for each such setting.

    The float32 file is float's cost. Where there are several machines, each makes a setting of its own, named by it.
    """
    frame = timings(deployments, roles)
    if frame.empty:
        return
    single = frame["machine"].nunique() == 1
    for (runtime, machine, batch, clock, threads), own in frame.groupby(
        ["runtime", "machine", "batch", "clock", "threads"], sort=False
    ):
        points = [{**{c: row[c] for c in METHOD}, "ms": row["median_ms"]} for row in own.to_dict("records")]
        for algorithm, rows in own.groupby("algorithm", sort=False):
            floats = {"algorithm": algorithm, "quantizer": FLOAT, "bits": FLOAT}
            points.append({**floats, "ms": median(rows["float_median_ms"])})
        said = f"{setting_words(runtime, batch, threads)}, {CLOCKS[str(clock)]} time"
        yield said if single else f"{said}, {machine}", pd.DataFrame(points)


def setting_words(runtime: object, batch: object, threads: object) -> str:
    """Say in what something was timed, for example ``openvino, batch 1, 2 threads``."""
    return f"{runtime}, batch {batch}, {threads} thread{'' if threads == 1 else 's'}"
