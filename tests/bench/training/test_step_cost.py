"""Cost of a training step over float, sorted: every quantizer that is installed, and every step rule over LSQ.

Contenders take turns, float in every turn; a figure is the median over rounds of the ratio of processor time within a
round, on one thread, so that other work on the machine changes little. They go in groups, so that few networks are in memory. The network is a small
one with little weight for its arithmetic, as a ResNet-50 is at 224 pixels. What a method does in its first steps or every
so many steps only, as a search for new ranges, is not in these figures. The asserted bounds guard against a blunder. Run with: pytest -m speed tests/bench/training/test_step_cost.py -s --benchmark-json=speed.json
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
import torch

from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.grid import Experiment
from quantdg.bench.experiment.offers import offers
from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.step_rules.base import StepRule
from quantdg.bench.training.branch import put_into_training
from quantdg.quantizers.base import Quantizer

pytestmark = [pytest.mark.speed, pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")]

WARM_UP, ROUNDS, GROUP = 3, 7, 10
BATCH, SHAPE, CLASSES = 32, (3, 32, 32), 7
MODEL = ("model=convnet", "model.width=32")
FURTHER = {"gradient_l1 by double backward": ("step_rule=gradient_l1", "step_rule.form=double_backward")}
Step = Callable[[], Any]


def step_of(experiment: Experiment) -> Step:
    """A step of the first quantizer under the step rule, as a cell takes it."""
    torch.manual_seed(0)
    network = experiment.model.build(SHAPE, CLASSES)
    algorithm = ERM(network, 1, lambda params: torch.optim.Adam(params, 5e-5, fused=True))
    rule: StepRule = experiment.step_rule.build()
    algorithm.rule = rule
    quantizer = experiment.quantizers[0].create(0)
    x, y = torch.randn(BATCH, *SHAPE), torch.arange(BATCH) % CLASSES
    quantizer.prepare(network, x[:4])
    put_into_training(algorithm, quantizer, 5e-5)
    train_mode(algorithm, freeze_bn=True)
    count = 0

    def step() -> None:
        nonlocal count
        algorithm.update([(x, y)])
        count += 1
        quantizer.on_step(network, count)

    return step


def installed(name: str) -> bool:
    kind: type[Quantizer] = import_object(offers("quantizer")[name].target)
    return not kind.missing()


def contenders() -> dict[str, tuple[str, ...]]:
    """What is to be written on a command line, by the name of a row."""
    found = {name: (f"quantizer=[{name}]",) for name in sorted(offers("quantizer")) if installed(name)}
    del found["float"]
    rules = {name: (f"step_rule={name}",) for name in sorted(offers("step_rule")) if name != "plain"} | FURTHER
    return found | {f"lsq + {name}": ("quantizer=[lsq]", *words) for name, words in rules.items()}


def ratios_of(names: dict[str, tuple[str, ...]]) -> dict[str, float]:
    """Processor time of a step over that of float, for contenders that take turns."""
    rows = {"float": ("quantizer=[float]",), **names}
    steps = {name: step_of(config.load([*MODEL, *words])) for name, words in rows.items()}
    rounds = []
    for _ in range(WARM_UP + ROUNDS):
        times = {}
        for name, step in steps.items():
            began = time.process_time()
            step()
            times[name] = time.process_time() - began
        rounds.append(times)
    return {name: median(times[name] / times["float"] for times in rounds[WARM_UP:]) for name in names}


def test_what_a_step_of_each_method_costs_over_float(benchmark: Any) -> None:
    rows = list(contenders().items())
    ratios: dict[str, float] = {}
    for start in range(0, len(rows), GROUP):
        ratios |= ratios_of(dict(rows[start : start + GROUP]))
    cost = dict(sorted(ratios.items(), key=lambda item: item[1]))
    benchmark.extra_info |= {"ratio_to_float": cost}
    benchmark.pedantic(lambda: None, rounds=1)
    print("\n" + "\n".join(f"{ratio:6.2f}  {name}" for name, ratio in cost.items()))
    assert all(0.3 < ratio < (8 if " + " in name else 4) for name, ratio in cost.items()), cost
