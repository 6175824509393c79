"""Learning rates worked out by hand, and a scheduled training that is stopped and goes on."""

import math

import pytest
import torch

from quantdg.bench.cells.job import Job
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.schedules.base import Constant
from quantdg.bench.schedules.cosine import Cosine
from quantdg.bench.schedules.cyclic import Cyclic
from quantdg.bench.sweep.session import load_and_plan, run_experiment
from quantdg.bench.training import float_phase
from quantdg.bench.training.checkpointer import StoppedError
from quantdg.core.errors import ConfigError


def test_cosine_at_its_corners():
    schedule = Cosine(floor=0.2)
    assert schedule.factor(1, 8) == 1
    assert schedule.factor(5, 8) == pytest.approx(0.6)  # half way: the mean of 1 and the floor
    assert schedule.factor(8, 8) == pytest.approx(0.2 + 0.4 * (1 + math.cos(7 * math.pi / 8)))


def test_cosine_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
    for step in range(1, 11):
        assert Cosine(floor=0.1).factor(step, 10) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_a_cycle_falls_in_equal_steps_and_starts_anew():
    factors = [Cyclic(cycle=4, floor=0.1).factor(step, 100) for step in range(1, 10)]
    assert factors == pytest.approx([1, 0.7, 0.4, 0.1, 1, 0.7, 0.4, 0.1, 1])


def test_a_triangle_by_hand():
    factors = [Cyclic(cycle=10, floor=0.1, shape="triangle").factor(step, 0) for step in range(1, 13)]
    above = [1, 0.8, 0.6, 0.4, 0.2, 0, 0.2, 0.4, 0.6, 0.8, 1, 0.8]
    assert factors == pytest.approx([0.1 + 0.9 * share for share in above])
    assert factors[5] == 0.1


def test_a_triangle_is_torchs_from_its_top_on():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.01, max_lr=1.0, step_size_up=4, cycle_momentum=False
    )
    schedule = Cyclic(cycle=8, shape="triangle")
    for step in range(-3, 25):  # torch's begins at the bottom, 4 steps before our first one
        if step >= 1:
            assert schedule.factor(step, 0) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("step", [1, 7, 200])
def test_none_changes_nothing(step):
    assert Constant().factor(step, 200) == 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Cosine(floor=-0.1), "schedule.floor must lie between 0 and 1, got -0.1"),
        (lambda: Cosine(floor=math.nan), "schedule.floor must lie between 0 and 1, got nan"),
        (lambda: Cyclic(cycle=1), "schedule.cycle must be at least 2 steps, got 1"),
        (lambda: Cyclic(cycle=5, shape="triangle"), "must be even with shape=triangle, got 5; write schedule.cycle=6"),
        (lambda: Cyclic(shape="saw"), "schedule.shape must be one of"),
        (lambda: Cyclic(floor=0), "schedule.floor must be above 0 and at most 1, got 0"),
    ],
)
def test_out_of_range(make, reason):
    with pytest.raises(ConfigError, match=reason):
        make()


def test_every_group_follows_and_the_quantizers_keeps_its_ratio(cell):
    chosen, data = cell("quantizer=[lsq]", "schedule=cosine", "schedule.floor=0.5")
    algorithm = float_phase.build(chosen.group, data)
    algorithm.add_quantizer_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 3e-4, "weight_decay": 0.0})
    for step in (12, 1, 7):  # a function of the step, in whatever order it is asked
        algorithm.set_rates(step, 12)
        factor = 0.5 + 0.25 * (1 + math.cos(math.pi * (step - 1) / 12))
        rates = [group["lr"] for group in algorithm.optimizer.param_groups]
        assert rates == pytest.approx([3e-3 * factor, 3e-4 * factor])


def test_a_schedule_changes_the_training_and_its_label(quick):
    digests = {}
    for name in ("none", "cosine", "cyclic"):
        experiment = quick("quantizer=[lsq]", f"schedule={name}", out=name)
        assert run_experiment(experiment) == 0
        (record,) = (r for r in RunStore(experiment.paths.out).records() if isinstance(r, Record))
        digests[record.labels.algorithm] = record.provenance["final_weights_sha256"]
    assert set(digests) == {"erm", "erm+cosine", "erm+cyclic"}
    assert len(set(digests.values())) == 3


def test_stopped_and_resumed_is_the_same_to_the_bit(quick, tmp_path):
    words = ("quantizer=[lsq]", "schedule=cosine", "optimizer=sgd")
    whole = quick(*words, out="whole")
    assert run_experiment(whole) == 0
    experiment = quick(*words, "launcher.checkpoint_seconds=0", out="parts")
    left = [7]

    def stop():
        left[0] -= 1
        return left[0] < 0

    (chosen,) = load_and_plan(experiment)
    store = RunStore(experiment.paths.out, create=True)
    with pytest.raises(StoppedError):
        Job(store, experiment.paths, experiment.launcher, stop=stop).attempt(chosen)
    resumed = Job(store, experiment.paths, experiment.launcher).attempt(chosen)
    (alone,) = (r for r in RunStore(whole.paths.out).records() if isinstance(r, Record))
    assert resumed.provenance["final_weights_sha256"] == alone.provenance["final_weights_sha256"]
    assert resumed.rows == alone.rows
