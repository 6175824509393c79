"""A training that is stopped and goes on ends as one that was not: the same bits, rows and audit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from quantdg.bench.averaging.base import WeightAverage
from quantdg.bench.cells.execute import cell_incompatibility, result_of
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.experiment.load import choices, hydra
from quantdg.bench.experiment.offers import find_offer
from quantdg.bench.training import branch as branches
from quantdg.bench.training import checkpointer as checkpointing
from quantdg.bench.training import float_phase
from quantdg.bench.training.checkpoint import Snapshot, capture, load_snapshot, save_snapshot
from quantdg.bench.training.checkpointer import Checkpointer, StoppedError
from quantdg.core.errors import RecordError

with hydra():
    QUANTIZERS, ALGORITHMS, AVERAGES = choices("quantizer"), choices("algorithm"), choices("averaging")
OBSERVERS = [name for name in AVERAGES if not import_object(find_offer("averaging", name).target).trains]
LONGER = ("protocol.steps=16", "protocol.start_step=4", "protocol.check_every=3")


def ignore(_steps):
    pass


def stopping_after(path, count):
    calls = iter(range(count))
    return Checkpointer(path, stop=lambda: next(calls, None) is None)


def interrupted(chosen, data, state, path, counts):
    for count in counts:
        with pytest.raises(StoppedError):
            branches.train_branch(chosen, data, state, ignore, stopping_after(path, count))
    return branches.train_branch(chosen, data, state, ignore, Checkpointer(path))


def summary(cell, branch, data, tmp_path):
    record = result_of(cell, branch, data, tmp_path, Launcher())
    return record.rows, record.audit, record.curve, record.provenance["final_weights_sha256"], record.sizes


def compare(cell, tmp_path, words, seed):
    chosen, data = cell(*words, *LONGER)
    if refused := cell_incompatibility(chosen, data):
        pytest.skip(refused[1])
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    whole = summary(chosen, branches.train_branch(chosen, data, state, ignore), data, tmp_path / "a")
    counts = np.random.default_rng(seed).integers(0, 5, size=2).tolist()
    parts = interrupted(chosen, data, state, tmp_path / "work.safetensors", counts)
    assert summary(chosen, parts, data, tmp_path / "b") == whole, counts


PLAYED = ["iterations=1", "steps=1", "batch=2"]


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_quantizer_goes_on_bit_for_bit(cell, tmp_path, quantizer):
    averages = "averaging=[" + ",".join(OBSERVERS) + "]"
    settings = {"adaround": ["iterations=2"], "brecq": ["iterations=2"], **dict.fromkeys(("zaq", "zsaq"), PLAYED)}
    short = [f"quantizer.{quantizer}.{setting}" for setting in settings.get(quantizer, [])]
    words = [f"quantizer=[{quantizer}]", averages, *short]
    compare(cell, tmp_path, words, seed=QUANTIZERS.index(quantizer))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_goes_on_bit_for_bit(cell, tmp_path, algorithm):
    small = ["algorithm.arm.width=4"] if algorithm == "arm" else []
    words = [f"algorithm=[{algorithm}]", "quantizer=[pact]", *small]
    compare(cell, tmp_path, words, seed=ALGORITHMS.index(algorithm))


def test_a_float_phase_goes_on_bit_for_bit(cell, tmp_path):
    chosen, data = cell("protocol.start_step=9")
    whole = float_phase.float_phase(chosen.group, data, tmp_path / "whole", ignore)
    kept, steps = tmp_path / "work.safetensors", []
    for count in (2, 3):
        with pytest.raises(StoppedError):
            float_phase.float_phase(chosen.group, data, tmp_path / "parts", ignore, stopping_after(kept, count))
    parts = float_phase.float_phase(chosen.group, data, tmp_path / "parts", steps.append, Checkpointer(kept))
    assert sum(steps) == 9
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not kept.exists()


def test_a_snapshot_is_written_when_it_is_due_and_fenced_first(tmp_path, monkeypatch):
    now, log = [0.0], []
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpointing, "save_snapshot", lambda path, snapshot: log.append(snapshot.step))
    checkpointer = Checkpointer(tmp_path / "s", 10, fence=lambda: log.append("fence"))
    for step in range(1, 26):
        now[0] += 1
        checkpointer.after_step(lambda step=step: Snapshot(step, {}))
    assert log == ["fence", 10, "fence", 20]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_torn_snapshot_is_removed_and_the_training_starts_over(cell, tmp_path, share):
    chosen, data = cell()
    path = tmp_path / "s.safetensors"
    save_snapshot(path, Snapshot(3, capture(float_phase.build(chosen.group, data)), {"curve": []}))
    assert load_snapshot(path, "cpu").step == 3
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(RecordError, match="is not the snapshot it is named after"):
        load_snapshot(path, "cpu")
    assert Checkpointer(path).load("cpu") is None
    assert not path.exists()


class Counting(WeightAverage):
    """The shortest observer: the default saving must do for it."""

    def __init__(self):
        self.seen, self.last, self.weights = [], None, {}

    def after_step(self, step, weights):
        self.seen.append((step, True))
        self.weights = {name: w.detach().clone() for name, w in weights.items()}

    def at_check(self, step, loss):
        self.last = loss

    def result(self):
        return self.seen[-1][0], self.weights


def test_a_simple_observer_is_saved_without_a_line_of_its_own(tmp_path):
    before, after, path = Counting(), Counting(), tmp_path / "s.safetensors"
    before.after_step(4, {"w": torch.tensor([1.5, 2.5])})
    before.at_check(4, 0.1 + 0.2)
    save_snapshot(path, Snapshot(4, {}, {"average": before.state()}))
    after.restore(load_snapshot(path, "cpu").gathered["average"])
    assert (after.seen, after.last) == ([(4, True)], 0.1 + 0.2)
    assert torch.equal(after.weights["w"], before.weights["w"])


def test_what_cannot_be_saved_says_so(tmp_path):
    with pytest.raises(TypeError, match=r"got PosixPath; override state\(\) and restore\(\)"):
        save_snapshot(tmp_path / "s", Snapshot(1, {}, {"x": Path("y")}))


def test_no_pickle_is_in_a_snapshot(cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    path = tmp_path / "s.safetensors"
    with pytest.raises(StoppedError):
        branches.train_branch(chosen, data, state, ignore, stopping_after(path, 4))
    assert {name.split("/")[0] for name in load_file(path)} == {"state", "gathered"}
