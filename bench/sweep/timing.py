"""What cells would cost, timed on a few real steps of each kind before anything starts; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median

from ..cells.execute import cell_incompatibility, open_data
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..experiment.protocol import train_mode
from ..results.logits import spread
from ..results.record import Labels
from ..results.summary import RecordSummary
from ..training.branch import insert_quantizer
from ..training.checkpoint import capture
from ..training.data import CellData
from ..training.evaluation import evaluate
from ..training.float_phase import build, train_step
from ..training.seeds import use_deterministic
from ..training.step_clock import StepClock

STEPS = 3
"""Timed of each kind, after one that is not."""
SELECTIONS = 3
"""Checkpoints evaluated on the whole target at the end of a branch, at most; each average is another."""


def timing_kind(labels: Labels) -> tuple[str, str, str, str]:
    """Return what the time of a step depends on within one grid: data set, algorithm, quantizer, bits."""
    return labels.dataset, labels.algorithm, labels.quantizer, labels.bits


def time_kinds(
    cells: Sequence[Cell], known: set[tuple[str, str, str, str]], paths: Paths, launcher: Launcher
) -> list[RecordSummary]:
    """Measure each kind of cell that is not in ``known`` once, as if its first cell had been run.

    A kind that cannot be trained has none; the run will say why.
    """
    use_deterministic(launcher.threads)
    return list(_timed(cells, set(known), paths, launcher))


def _timed(
    cells: Sequence[Cell], known: set[tuple[str, str, str, str]], paths: Paths, launcher: Launcher
) -> Iterator[RecordSummary]:
    data: CellData | None = None
    opened = ""
    for cell in cells:
        if timing_kind(cell.labels) in known:
            continue
        known.add(timing_kind(cell.labels))
        try:
            if data is None or opened != cell.group.key:
                data, opened = open_data(cell.group, paths, launcher.device), cell.group.key
            if cell_incompatibility(cell, data) is None:
                yield time_cell(cell, data)
        except Exception:  # noqa: BLE001, S112 - its record will hold the reason
            continue


def time_cell(cell: Cell, data: CellData) -> RecordSummary:
    """Time some steps from initial weights and one batch of evaluation, and add up what a branch has of each."""
    protocol = cell.group.protocol
    algorithm, quantizer, _ = insert_quantizer(cell, data, capture(build(cell.group, data)))
    train_mode(algorithm, freeze_bn=True)
    clock = StepClock(data.device)
    for step in range(1, STEPS + 2):
        clock.start()
        train_step(algorithm, data, step)
        quantizer.on_step(algorithm.network, step)
        clock.stop()
    step_s = median(clock.settle()[1:])
    some = data.target_out[: protocol.eval_batch]
    began = time.perf_counter()
    evaluate(algorithm, data, data.target, some)
    image_s = (time.perf_counter() - began) / len(some)
    steps = range(protocol.start_step + 1, protocol.steps + 1)
    total = len(steps) * step_s + _evaluated(cell, data, sum(map(protocol.is_check, steps))) * image_s
    return RecordSummary(
        cell.key, "done", cell.labels, "", modified=0.0, branch_s=total, step_ms=1000 * step_s, steps=len(steps)
    )


def _evaluated(cell: Cell, data: CellData, checks: int) -> int:
    """Images that a branch evaluates."""
    source = sum(map(len, data.validation.values()))
    target = len(data.target_in) + len(data.target_out)
    averages, recorded = len(cell.averages), len(spread(target, len(data.dataset.classes)))
    return checks * (source + len(data.target_out)) + SELECTIONS * target + averages * (source + target) + recorded
