"""One cell through one runtime: files, proof that it is the same model, accuracy, latency."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from quantdg.bench.deploy.files import Files, write_files
from quantdg.bench.deploy.measure import Job, measure
from quantdg.bench.deploy.records import Deployment, Timing
from quantdg.bench.deploy.reference import prover
from quantdg.bench.deploy.runtimes import open_model, predict, runtime_version
from quantdg.bench.deploy.settings import DeploySettings
from quantdg.bench.deploy.stored import StoredCell
from quantdg.bench.environment import machine, versions
from quantdg.bench.records import pack_bits

FEWEST_IMAGES, MOST_IMAGES, PIXELS = 16, 64, 2**20
"""The proof takes as many images as have this many values."""
BATCH = 32


def deploy_cell(cell: StoredCell, settings: DeploySettings, out: Path, timed: bool = True) -> Deployment:
    """Write the runtime file of a cell to ``out`` and measure it.

    Args:
        cell: opened.
        settings: runtime and what to time.
        out: the ONNX file.
        timed: False where another cell stands for this one's latency.

    Raises:
        MissingPackageError: the runtime or the exporter is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(cell.network, cell.model, cell.shape, out, Path(folder))
        facts: dict[str, Any] = {}
        runnable = files.integer_file or (files.float_file if files.kind == "float32" else None)
        if runnable is not None:
            facts |= _proof(cell, files, runnable, settings.runtime)
            facts |= _accuracy(cell, runnable, settings.runtime, files.kind == "integer")
        timings = _timings(files, cell.shape, settings) if timed and files.kind == "integer" else ()
    return Deployment(
        cell.record.key,
        cell.record.labels,
        settings.runtime,
        files.kind,
        files.reason,
        size=cell.shape[1],
        bytes=files.bytes,
        folded=files.integer.folded if files.integer else 0,
        unfolded=len(files.integer.unfolded) if files.integer else 0,
        timings=tuple(timings),
        machine=machine(),
        versions={**versions(), settings.runtime: runtime_version(settings.runtime)},
        **facts,
    )


def _proof(cell: StoredCell, files: Files, path: Path, runtime: str) -> dict[str, Any]:
    """Distance to the fake-quantized network, and what the runtime executes."""
    images = cell.sample(min(MOST_IMAGES, max(FEWEST_IMAGES, PIXELS // int(np.prod(cell.shape)))))
    judge = prover(cell.network, cell.model, images)
    proof = judge.compare(open_model(runtime, path, batch=len(images), integer=False))
    fused = open_model(runtime, path, batch=len(images), integer=files.kind == "integer")
    layers = fused.layers()
    return {
        "images": len(images),
        "difference": proof.difference,
        "fused_difference": judge.compare(fused).difference,
        "noise": proof.noise,
        "limit": proof.limit,
        "layers": layers.total,
        "integer_layers": layers.integer,
    }


def _accuracy(cell: StoredCell, path: Path, runtime: str, integer: bool) -> dict[str, Any]:
    """Correctness on the target domain from the runtime, beside the recorded one."""
    runner = open_model(runtime, path, batch=BATCH, integer=integer)
    parts = [predict(runner, images).argmax(1) == labels for images, labels in cell.batches(BATCH)]
    correct, stored = np.concatenate(parts), cell.correct()
    return {
        "accuracy": float(correct.mean()),
        "stored_accuracy": float(stored.mean()),
        "changed": int((correct != stored).sum()),
        "target_in": float(correct[cell.target_in()].mean()),
        "correct": pack_bits(correct),
    }


def _timings(files: Files, shape: tuple[int, int, int], settings: DeploySettings) -> Sequence[Timing]:
    """One thread by CPU time, then all by wall time, for each batch size."""
    job = Job(settings.runtime, str(files.integer_file), str(files.float_file), shape, rounds=settings.rounds)
    threads = settings.threads or cores()
    counts = (1, threads) if threads > 1 else (1,)
    return [measure(replace(job, batch=b, threads=n)) for n in counts for b in settings.batches]


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
