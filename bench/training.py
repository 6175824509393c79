"""Training one group: the float phase once, then one branch for each quantizer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.averaging.base import WeightAverage
from quantdg.bench.checkpoint import State, capture, load_state, restore, save_state
from quantdg.bench.data import CellData
from quantdg.bench.evaluation import evaluate, evaluate_sources
from quantdg.bench.experiment import Cell, Group
from quantdg.bench.optim import check_groups
from quantdg.bench.protocol import train_mode
from quantdg.bench.seeds import seed_everything
from quantdg.bench.selection import Checkpoint, Selection
from quantdg.core.errors import RecordError
from quantdg.quantizers.base import Audit, Quantizer

StepReport = Callable[[int], None]
"""Called with the number of training steps just done."""


def build(group: Group, data: CellData) -> Algorithm:
    """A fresh algorithm; its initial weights depend on (data set, target, seed) only."""
    seed_everything(data.seeds.of("init"))
    classes = len(data.dataset.classes)
    network = group.model.build(data.dataset.shape, classes).to(data.device)
    algorithm: Algorithm = group.algorithm.build(network, len(data.sources), group.protocol.optimizer)
    return algorithm.to(data.device)


def train_step(algorithm: Algorithm, data: CellData, step: int) -> dict[str, float]:
    """One step; the global generators are reset to this step's seed first."""
    seed_everything(data.seeds.of("step", step))
    return algorithm.update(data.batches(step))


def float_phase(group: Group, data: CellData, path: Path, report: StepReport) -> State:
    """The training state at the start step: from ``path`` where it is, else trained and stored there."""
    if path.exists():
        try:
            return load_state(path, data.device)
        except RecordError:
            path.unlink()
    algorithm = build(group, data)
    train_mode(algorithm, freeze_bn=group.protocol.bn == "frozen")
    for step in range(1, group.protocol.start_step + 1):
        train_step(algorithm, data, step)
        report(1)
    state = capture(algorithm)
    save_state(path, state, group.protocol.start_step)
    return state


@dataclass
class Branch:
    """A finished branch.

    Attributes:
        algorithm: carrying the last step's weights.
        quantizer: prepared on its network.
        selection: the checkpoints each rule chose.
        averages: by row name, ready for their result.
        audit: taken right after the last step, while its gradients are there.
        curve: one entry a checkpoint.
        step_ms: median wall time of a training step.
        float_names: state-dict names of the network before prepare.
    """

    algorithm: Algorithm
    quantizer: Quantizer
    selection: Selection
    averages: dict[str, WeightAverage]
    audit: Audit
    curve: list[dict[str, float]] = field(default_factory=list)
    step_ms: float = 0.0
    float_names: set[str] = field(default_factory=set)


def prepare(cell: Cell, data: CellData, state: State) -> tuple[Algorithm, Quantizer, set[str]]:
    """The float state with the cell's quantizer inserted, calibrated and in the optimizer."""
    algorithm = build(cell.group, data)
    restore(algorithm, state)
    network, protocol = algorithm.network, cell.group.protocol
    names = set(network.state_dict())
    seed_everything(data.seeds.of("prepare"))
    quantizer = cell.quantizer.create(data.seeds.of("quantizer"))
    batches = list(data.calibration())
    quantizer.prepare(network, batches[0])
    quantizer.calibrate(network, batches)
    for group in quantizer.param_groups(network, protocol.lr):
        algorithm.optimizer.add_param_group(group)
    check_groups(algorithm.optimizer, algorithm)
    algorithm.penalty = lambda: quantizer.penalty(network)
    return algorithm, quantizer, names


def train_branch(cell: Cell, data: CellData, state: State, report: StepReport) -> Branch:
    """Train a cell from the float state to the end of the protocol."""
    protocol = cell.group.protocol
    algorithm, quantizer, names = prepare(cell, data, state)
    averages: dict[str, WeightAverage] = {a.name: a.build() for a in cell.averages}
    selection, curve, times = Selection(), [], []
    train_mode(algorithm, freeze_bn=True)
    for step in range(protocol.start_step + 1, protocol.steps + 1):
        began = time.perf_counter()
        terms = train_step(algorithm, data, step)
        quantizer.on_step(algorithm.network, step - protocol.start_step)
        times.append(time.perf_counter() - began)
        weights = dict(algorithm.network.named_parameters())
        for average in averages.values():
            average.after_step(step, weights)
        if protocol.is_check(step):
            if step == protocol.steps:
                audit = quantizer.audit(algorithm.network)
            checkpoint = check(algorithm, data, step)
            selection.offer(checkpoint)
            for average in averages.values():
                average.at_check(step, checkpoint.source.mean_loss)
            curve.append(_curve_point(checkpoint, terms["loss"]))
            train_mode(algorithm, freeze_bn=True)
        report(1)
    return Branch(algorithm, quantizer, selection, averages, audit, curve, 1000 * median(times), names)


def check(algorithm: Algorithm, data: CellData, step: int) -> Checkpoint:
    """Source validation and the oracle's 20 % of the target; nothing else of the target is looked at."""
    source = evaluate_sources(algorithm, data)
    oracle = evaluate(algorithm, data, data.target, data.target_out)
    state = {n: t.detach().clone() for n, t in algorithm.network.state_dict().items()}
    return Checkpoint(step, source, oracle.accuracy, state)


def _curve_point(checkpoint: Checkpoint, loss: float) -> dict[str, float]:
    return {
        "step": checkpoint.step,
        "train_loss": loss,
        "source_acc": checkpoint.source.mean_accuracy,
        "source_loss": checkpoint.source.mean_loss,
        "target_out": checkpoint.target_out,
    }


def use_deterministic(threads: int) -> None:
    """Fixed thread count and deterministic kernels, so that equal settings give equal bits on one machine."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
