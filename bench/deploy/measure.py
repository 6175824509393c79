"""Time two files in one runtime, interleaved, in a process of its own: ``python -m quantdg.bench.deploy.measure``.

Reads a Job as JSON from standard input, writes samples as JSON to standard output. Imports no torch, whose thread
pools would share the process (ExecuTorch itself needs it). With one thread the time of the process is kept, which
other processes disturb least; with more, the wall time.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from ...core.errors import QuantDGError
from ..results.deployment import Timing
from .runtimes import Array, Runner, open_model

SAMPLE_S, STEADY_S, STEADY_CALLS = 0.005, 0.05, 12
"""A sample averages as many calls as take the first; more, up to the last, while they take at most the second."""
WARM_UP, FEWEST_ROUNDS = 3, 7


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        runtime: name; integer_file, float_file: as the runtime reads them.
        shape: (C, H, W); batch, threads: of a call.
        rounds: at most; seconds: after which at least 7 rounds are enough.
    """

    runtime: str
    integer_file: str
    float_file: str
    shape: tuple[int, int, int]
    batch: int = 1
    threads: int = 1
    rounds: int = 20
    seconds: float = 20.0


def measure(job: Job) -> Timing:
    """Run the job in a fresh process."""
    command = [sys.executable, "-m", "quantdg.bench.deploy.measure"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise QuantDGError(f"the measurement in {job.runtime} ended with exit code {done.returncode}: {reason}")
    samples: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary(job, samples["integer"], samples["float32"], samples["calls"])


def summary(job: Job, integer: Sequence[float], floats: Sequence[float], calls: int) -> Timing:
    """Medians, quartiles and the ratio of samples in milliseconds, one of each a round."""
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


def _samples(job: Job) -> dict[str, Any]:
    shape = (job.batch, *job.shape)
    x: Array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    runners = [
        open_model(job.runtime, Path(path), threads=job.threads, batch=job.batch)
        for path in (job.integer_file, job.float_file)
    ]
    clock = time.process_time if job.threads == 1 else time.perf_counter
    for runner in runners:
        _seconds(runner, x, WARM_UP, clock)
    slow = max(_seconds(runner, x, WARM_UP, clock) for runner in runners)
    calls = max(math.ceil(SAMPLE_S / slow), min(STEADY_CALLS, int(STEADY_S / slow)))
    times: list[list[float]] = [[], []]
    started = time.perf_counter()
    while (done := len(times[0])) < job.rounds:
        if done >= FEWEST_ROUNDS and time.perf_counter() - started > job.seconds:
            break
        for which in (0, 1) if done % 2 else (1, 0):
            runners[which](x)  # the caches hold the other model's data; a model deployed alone finds its own
            times[which].append(1000 * _seconds(runners[which], x, calls, clock))
    return {"integer": times[0], "float32": times[1], "calls": calls}


def _seconds(runner: Runner, x: Array, calls: int, clock: Any) -> float:
    """Mean time of one call."""
    began = clock()
    for _ in range(calls):
        runner(x)
    return float(clock() - began) / calls


if __name__ == "__main__":
    print(json.dumps(_samples(Job(**json.load(sys.stdin)))))
