"""One cell through the runtimes: files, proof that it is the same model, accuracy, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...core.machine import usable_cores
from ..experiment.deploy import DeploySettings
from ..results.deployment import Deployment, Timing
from ..results.provenance import machine, versions
from ..results.record import pack_bits
from .description import description_of
from .files import Files, deployment_kind, write_files
from .measure import TimingTask, measure
from .reference import Prover, prover
from .runtimes import open_model, predict, runtime_version
from .stored import StoredCell

FEWEST_IMAGES, MOST_IMAGES, PIXELS = 16, 1024, 2**22
"""The proof takes as many images as have this many values."""
BATCH = 32


@dataclass(frozen=True)
class Prepared:
    """The files of a prepared cell are written; ``judge`` is None where no runtime can run them."""

    cell: StoredCell
    files: Files
    judge: Prover | None
    timed: bool

    @property
    def runnable(self) -> Path | None:
        """This file is compared with the network; None where there is none."""
        return self.files.integer_file or (self.files.float_file if self.files.kind == "float32" else None)


def prepare_deployment(cell: StoredCell, out: Path, scratch: Path, timed: bool = True) -> Prepared:
    """Write the runtime file of a cell to ``out``, the rest to ``scratch``, which must outlive the measurements.

    Args:
        cell: opened.
        out: the runtime file; its ending says which runtimes read it.
        scratch: folder of the files that are needed for comparison only.
        timed: False where another cell stands for this one's latency.

    Raises:
        MissingPackageError: the exporter is not installed.
    """
    timed = timed and deployment_kind(cell.model)[0] == "integer"
    described = description_of(cell)
    files = write_files(
        cell.network, cell.model, cell.shape, out, scratch=scratch, baseline=timed, description=described
    )
    if files.kind == "not exportable":
        return Prepared(cell, files, None, timed)
    images = cell.sample(min(MOST_IMAGES, max(FEWEST_IMAGES, PIXELS // int(np.prod(cell.shape)))))
    return Prepared(cell, files, prover(cell.network, cell.model, images, cell.trained()), timed)


def deploy_in(runtime: str, prepared: Prepared, settings: DeploySettings) -> Deployment:
    """Measure a prepared cell in one runtime; MissingPackageError where that is not installed."""
    cell, files, path = prepared.cell, prepared.files, prepared.runnable
    facts: dict[str, Any] = {}
    if path is not None and prepared.judge is not None:
        facts |= _proof(prepared.judge, path, runtime, files.kind == "integer")
        facts |= _accuracy(cell, path, runtime, files.kind == "integer")
    return Deployment(
        cell.record.key,
        cell.record.labels,
        runtime,
        files.kind,
        reason=files.reason,
        size=cell.shape[1],
        bytes=files.bytes,
        folded=files.integer.folded if files.integer else 0,
        unfolded=len(files.integer.unfolded) if files.integer else 0,
        timings=tuple(_timings(runtime, files, cell.shape, settings)) if prepared.timed else (),
        machine=machine(),
        versions={**versions(), runtime: runtime_version(runtime)},
        **facts,
    )


def _proof(judge: Prover, path: Path, runtime: str, integer: bool) -> dict[str, Any]:
    """Distance to the fake-quantized network, and what the runtime executes."""
    proof = judge.compare(partial(predict, open_model(runtime, path, batch=BATCH, integer=False)))
    fused = open_model(runtime, path, batch=BATCH, integer=integer)
    layers = fused.layers()
    return {
        "images": len(judge.images),
        "images_changed": proof.images_changed,
        "difference": proof.difference,
        "recorded_images": 0 if judge.trained is None else len(judge.trained.images),
        "recorded_difference": proof.recorded_difference,
        "recorded_limit": proof.recorded_limit,
        "recorded_changed": proof.recorded_changed,
        "fused_difference": judge.compare(partial(predict, fused)).difference,
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


def _timings(runtime: str, files: Files, shape: tuple[int, int, int], settings: DeploySettings) -> Sequence[Timing]:
    """One thread by CPU time, then all by wall time, for each batch size."""
    job = TimingTask(runtime, str(files.integer_file), str(files.float_file), shape, rounds=settings.rounds)
    threads = settings.threads or usable_cores()
    counts = (1, threads) if threads > 1 else (1,)
    return [measure(replace(job, batch=b, threads=n)) for n in counts for b in settings.batches]
