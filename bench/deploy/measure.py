"""Time two files in one runtime, interleaved, in a process of its own: ``python -m quantdg.bench.deploy.measure``.

Reads a TimingTask as JSON from standard input, writes samples as JSON to standard output. Imports no torch, whose thread
pools would share the process (ExecuTorch itself needs it). With one thread the time of the process is kept, which
other processes disturb least; with more, the wall time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from ...core.errors import MeasurementError
from ..results.deployment import Timing
from .interleaved import sample_interleaved, steady_calls
from .runtimes import Array, open_model


@dataclass(frozen=True)
class TimingTask:
    """A task says what to time.

    Attributes:
        runtime: name of the runtime.
        integer_file: path of the integer model.
        float_file: path of the same network in float32.
        shape: (C, H, W).
        batch: of a call.
        threads: of a call.
        rounds: samples of each model, at most.
        seconds: after which at least 7 rounds are enough.
    """

    runtime: str
    integer_file: str
    float_file: str
    shape: tuple[int, int, int]
    batch: int = 1
    threads: int = 1
    rounds: int = 20
    seconds: float = 20.0


def measure(job: TimingTask) -> Timing:
    """Time in a fresh process; MeasurementError, with its last line, where that fails."""
    command = [sys.executable, "-m", "quantdg.bench.deploy.measure"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MeasurementError(f"the measurement in {job.runtime} ended with exit code {done.returncode}: {reason}")
    samples: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary(job, samples["integer"], samples["float32"], samples["calls"])


def summary(job: TimingTask, integer: Sequence[float], floats: Sequence[float], calls: int) -> Timing:
    """Return medians, quartiles and the ratio of samples in milliseconds, one of each a round."""
    ratios = [a / b for a, b in zip(integer, floats, strict=True)]
    low, _, high = quantiles(integer, n=4)
    float_low, _, float_high = quantiles(floats, n=4)
    ratio_low, _, ratio_high = quantiles(ratios, n=4)
    return Timing(
        batch=job.batch,
        threads=job.threads,
        clock="cpu" if job.threads == 1 else "wall",
        median_ms=median(integer),
        q25_ms=low,
        q75_ms=high,
        float_ms=(median(floats), float_low, float_high),
        ratio=median(ratios),
        ratio_q25=ratio_low,
        ratio_q75=ratio_high,
        rounds=len(ratios),
        calls=calls,
        load=os.getloadavg()[0],
    )


def _samples(job: TimingTask) -> dict[str, Any]:
    shape = (job.batch, *job.shape)
    x: Array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    calls = [
        partial(open_model(job.runtime, Path(path), threads=job.threads, batch=job.batch), x)
        for path in (job.integer_file, job.float_file)
    ]
    clock = time.process_time if job.threads == 1 else time.perf_counter
    count = steady_calls(calls, clock)
    integer, floats = sample_interleaved(calls, job.rounds, job.seconds, count, clock=clock)
    return {"integer": integer, "float32": floats, "calls": count}


if __name__ == "__main__":
    print(json.dumps(_samples(TimingTask(**json.load(sys.stdin)))))
