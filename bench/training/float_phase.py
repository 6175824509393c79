"""The float phase: trained once for each group, and stored; every cell of the group branches from its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...core.errors import RecordError
from ..algorithms.base import Algorithm, Terms
from ..experiment.grid import Group
from ..experiment.protocol import OptimizerFactory, train_mode
from ..results.files import remove
from .checkpoint import Snapshot, State, capture, load_state, restore, save_state
from .checkpointer import Checkpointer
from .data import CellData
from .precision import Computing
from .seeds import seed_everything

StepReport = Callable[[int], None]
"""Called with the number of training steps just done."""


def build(group: Group, data: CellData) -> Algorithm:
    """Build a fresh algorithm; its initial weights depend on (data set, target, seed) only."""
    network = data.initial_network(group.model)
    algorithm: Algorithm = group.algorithm.build(network, len(data.sources), optimizer_factory(group))
    for transform in group.transforms:
        algorithm.add_transform(transform.build())
    algorithm.rule = group.step_rule.build()
    algorithm.schedule = group.schedule.build()
    algorithm.statistics = data.inputs.mean, data.inputs.std
    algorithm.computing = Computing(network, group.protocol.precision, group.protocol.compile, data.ranks)
    return algorithm.to(data.device)


def optimizer_factory(group: Group) -> OptimizerFactory:
    """Return what builds the group's optimizer, at the protocol's learning rate and weight decay."""
    return partial(group.optimizer.build, lr=group.protocol.lr, weight_decay=group.protocol.weight_decay)


def train_step(algorithm: Algorithm, data: CellData, step: int) -> Terms:
    """Take one step; the global generators are reset to this step's seed first."""
    seed_everything(data.seeds.of("step", step))
    algorithm.set_rates(step, data.protocol.steps)
    batches = data.batches(step)
    try:
        with algorithm.computing():
            return algorithm.update(batches)
    except Exception:
        algorithm.refuse_divergence()  # the better reason, where a loss that nobody looked at was not finite
        raise


def float_phase(
    group: Group, data: CellData, path: Path, report: StepReport, checkpointer: Checkpointer | None = None
) -> State:
    """Return the training state at the start step: from ``path`` where it is, else trained and stored there."""
    checkpointer, ranks = checkpointer or Checkpointer(), data.ranks
    if (stored := ranks.from_first(lambda: _stored(path, data, checkpointer))) is not None:
        return stored
    algorithm = build(group, data)
    done = 0
    if (snapshot := ranks.from_first(lambda: checkpointer.load(data.device))) is not None:
        restore(algorithm, snapshot.state)
        done = snapshot.step
        report(done)
    train_mode(algorithm, freeze_bn=group.protocol.bn == "frozen")
    for step in range(done + 1, group.protocol.start_step + 1):
        train_step(algorithm, data, step)
        report(1)
        if step < group.protocol.start_step:
            checkpointer.after_step(partial(_snapshot, step, algorithm))
    algorithm.refuse_divergence()
    state = capture(algorithm)
    ranks.check_equal(state.values())
    if ranks.first:
        checkpointer.fence()
        save_state(path, state, group.protocol.start_step)
        checkpointer.delete()
    return state


def _stored(path: Path, data: CellData, checkpointer: Checkpointer) -> State | None:
    """The state that is stored; None where there is none. A wrong file is told and removed."""
    try:
        return load_state(path, data.device, data.protocol.start_step)
    except FileNotFoundError:
        return None
    except RecordError as error:
        checkpointer.tell(f"{error}; trained again")
        remove(path)
        return None


def _snapshot(step: int, algorithm: Algorithm) -> Snapshot:
    algorithm.refuse_divergence()
    return Snapshot(step, capture(algorithm))
