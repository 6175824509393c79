"""A branch: one cell from the end of its float phase to the end of the protocol.

A post-training quantizer leaves all of it float; what selection chose is quantized when it is over.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from torch import Tensor, nn

from ...core.errors import QuantizerError
from ...quantizers.acting import idle_sites
from ...quantizers.base import Audit, Quantizer
from ...quantizers.noise_matching import note_noise
from ..algorithms.base import Algorithm
from ..averaging.base import WeightAverage
from ..experiment.grid import Cell
from ..experiment.protocol import train_mode
from .averaging import begin_averaging, observe, take_over
from .by_image import check_sites
from .checkpoint import Snapshot, State, capture, restore
from .checkpointer import Checkpointer
from .data import CellData
from .finish import quantize_chosen
from .float_phase import StepReport, build, train_step
from .noise_match import match_cell
from .optimizer_check import check_groups
from .oscillation_watch import OscillationWatch
from .seeds import seed_everything
from .selection import Selection, score_checkpoint
from .step_clock import StepClock

FEW = 4
"""Images that show whether a site acts."""


@dataclass
class Branch:
    """This is a finished branch.

    Attributes:
        algorithm: carrying the last step's weights.
        quantizer: prepared on its network.
        selection: the checkpoints each rule chose.
        averages: by row name, ready for their result; one that took part in the training has no row of its own.
        audit: taken right after the last step, while its gradients are there.
        curve: one entry a checkpoint.
        step_ms: median wall time of a training step.
        seconds: wall time of the whole branch, over all attempts.
        float_names: state-dict names of the network before prepare.
        match: what `match_cell` chose.
        noise: of each site at insertion and at each checkpoint.
        averaged: what the record says of an average that took part in the training; empty without one.
    """

    algorithm: Algorithm
    quantizer: Quantizer
    selection: Selection
    averages: dict[str, WeightAverage]
    audit: Audit
    curve: list[dict[str, float]] = field(default_factory=list)
    step_ms: float = 0.0
    seconds: float = 0.0
    float_names: set[str] = field(default_factory=set)
    match: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, list[float]] = field(default_factory=dict)
    averaged: dict[str, Any] = field(default_factory=dict)


def _at_start(cell: Cell, data: CellData, state: State) -> Algorithm:
    algorithm = build(cell.group, data)
    restore(algorithm, state)
    return algorithm


def check_sites_act(network: nn.Module, quantizer: Quantizer, images: Tensor) -> None:
    """Raise QuantizerError unless each planned site acts in training and in evaluation, with the first that does not."""
    idle = idle_sites(network, quantizer.export(network), images)
    if idle:
        name, reason = next(iter(idle.items()))
        raise QuantizerError(
            f"each of the {len(quantizer.plan.sites)} planned sites must act, but {len(idle)} do not, first {name!r}: "
            f"{reason}; leave it in float by a rule with skip: true"
        )


def insert_quantizer(cell: Cell, data: CellData, state: State) -> tuple[Algorithm, Quantizer, set[str]]:
    """Build the float state with the cell's quantizer inserted, calibrated and in the optimizer."""
    algorithm = _at_start(cell, data, state)
    network, protocol = algorithm.network, cell.group.protocol
    names = set(network.state_dict())
    seed_everything(data.seeds.of("prepare"))
    quantizer = cell.quantizer.create(data.seeds.of("quantizer"))
    batches = list(data.calibration())
    quantizer.prepare(network, batches[0])
    check_sites(network, quantizer.plan, data.ranks)
    if not quantizer.post_training:
        quantizer.calibrate(network, batches)
    check_sites_act(network, quantizer, batches[0][:FEW])
    put_into_training(algorithm, quantizer, protocol.lr)
    return algorithm, quantizer, names


def put_into_training(algorithm: Algorithm, quantizer: Quantizer, lr: float) -> None:
    """Put a prepared quantizer's parameters, penalty and look at the loss into the algorithm's steps."""
    network = algorithm.network
    for group in quantizer.param_groups(network, lr):
        algorithm.add_quantizer_group(group)
    check_groups(algorithm.optimizer, algorithm)
    algorithm.penalty = lambda: quantizer.penalty(network)
    algorithm.on_loss = lambda loss: quantizer.on_loss(network, loss)
    if quantizer.post_training:
        quantizer.on_step(network, 0)  # float from here on; that its sites can act has been seen


@dataclass
class _Gathered:
    """What a branch collects beside its algorithm; `state` and `restore` are inverse."""

    averages: dict[str, WeightAverage]
    clock: StepClock
    selection: Selection = field(default_factory=Selection)
    curve: list[dict[str, float]] = field(default_factory=list)
    noise: dict[str, list[float]] = field(default_factory=dict)
    averaged: dict[str, Any] = field(default_factory=dict)
    oscillations: OscillationWatch = field(default_factory=OscillationWatch)
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def total(self) -> float:
        """Return seconds of this branch over all attempts."""
        return self.seconds + time.perf_counter() - self.began

    def branch(self, algorithm: Algorithm, quantizer: Quantizer, audit: Audit, **further: Any) -> Branch:
        """Return the finished branch."""
        rows = {name: average for name, average in self.averages.items() if not average.trains}
        return Branch(
            algorithm,
            quantizer,
            self.selection,
            rows,
            audit=audit,
            curve=self.curve,
            step_ms=1000 * median(self.clock.settle()),
            seconds=self.total(),
            noise=self.noise,
            averaged=self.averaged,
            **further,
        )

    def state(self) -> dict[str, Any]:
        """Return what a snapshot keeps."""
        return {
            "averages": {name: average.state() for name, average in self.averages.items()},
            "chosen": self.selection.chosen,
            "curve": self.curve,
            "noise": self.noise,
            "averaged": self.averaged,
            "oscillations": self.oscillations.state(),
            "times": self.clock.settle(),
            "seconds": self.total(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what a snapshot kept."""
        for name, average in self.averages.items():
            average.restore(saved["averages"][name])
        self.selection.chosen = saved["chosen"]
        self.curve, self.clock.times, self.seconds = saved["curve"], saved["times"], saved["seconds"]
        self.noise, self.averaged = saved["noise"], saved.get("averaged", {})
        self.oscillations.restore(saved.get("oscillations", {}))


def train_branch(
    cell: Cell, data: CellData, state: State, report: StepReport, checkpointer: Checkpointer | None = None
) -> Branch:
    """Train a cell from the float state to the end of the protocol, or on from where ``checkpointer`` has it.

    The quantizer is prepared and calibrated either way, so that its audit measures from the branch point.
    """
    protocol, checkpointer = cell.group.protocol, checkpointer or Checkpointer()
    gathered = _Gathered({a.name: a.build() for a in cell.averages}, StepClock(data.device))
    cell, match = match_cell(cell, data, lambda: _at_start(cell, data, state).network)
    algorithm, quantizer, names = insert_quantizer(cell, data, state)
    begin_averaging(gathered.averages, algorithm, protocol)
    note_noise(gathered.noise, quantizer, algorithm.network)
    done = _resume(algorithm, gathered, checkpointer, data) or protocol.start_step
    report(done - protocol.start_step)
    train_mode(algorithm, freeze_bn=True)
    audit = Audit(quantizer.name, {})
    for step in range(done + 1, protocol.steps + 1):
        gathered.clock.start()
        terms = train_step(algorithm, data, step)
        quantizer.on_step(algorithm.network, step - protocol.start_step)
        gathered.clock.stop()
        gathered.oscillations.after_step(protocol.steps - step, quantizer, algorithm.network)
        observe(gathered.averages, step, algorithm.network, quantizer)
        if taken := take_over(gathered.averages, step, algorithm, quantizer, data=data):
            gathered.averaged, gathered.selection = taken, Selection()
            train_mode(algorithm, freeze_bn=True)
        if protocol.is_check(step):
            algorithm.refuse_divergence()
            if step == protocol.steps:
                audit = gathered.oscillations.noted(quantizer.audit(algorithm.network))
            note_noise(gathered.noise, quantizer, algorithm.network)
            _check(algorithm, data, step, float(terms["loss"]), gathered=gathered)
        report(1)
        if step < protocol.steps:
            checkpointer.after_step(partial(_snapshot, step, algorithm, gathered))
    if quantizer.post_training:
        audit = quantize_chosen(algorithm, quantizer, data, gathered.selection, noise=gathered.noise)
    return gathered.branch(algorithm, quantizer, audit, float_names=names, match=match)


def _snapshot(step: int, algorithm: Algorithm, gathered: _Gathered) -> Snapshot:
    algorithm.refuse_divergence()
    return Snapshot(step, capture(algorithm), gathered.state())


def _resume(algorithm: Algorithm, gathered: _Gathered, checkpointer: Checkpointer, data: CellData) -> int:
    """Take over a snapshot; returns its step, 0 where there is none."""
    snapshot = data.ranks.from_first(lambda: checkpointer.load(data.device))
    if snapshot is None:
        return 0
    restore(algorithm, snapshot.state)
    gathered.restore(snapshot.gathered)
    return snapshot.step


def _check(algorithm: Algorithm, data: CellData, step: int, loss: float, gathered: _Gathered) -> None:
    checkpoint = score_checkpoint(algorithm, data, step)
    gathered.selection.consider(checkpoint)
    for average in gathered.averages.values():
        average.at_check(step, checkpoint.source.mean_loss)
    gathered.curve.append(checkpoint.curve_point(loss))
    train_mode(algorithm, freeze_bn=True)
