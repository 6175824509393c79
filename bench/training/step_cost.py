"""What a training step of a method costs, measured here and now against float.

Contenders take turns, float in every turn; a figure is the median over rounds of the ratio of processor time within a
round, on one thread, so that other work on the machine changes little. They go in groups, so that few networks are in
memory. The network is a small one with little weight for its arithmetic, as a ResNet-50 is at 224 pixels. What a method
does in its first steps or every so many steps only, as a search for new ranges, is not in these figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch

from ..algorithms.erm import ERM
from ..experiment.grid import Experiment
from ..experiment.load import load
from ..experiment.protocol import train_mode
from .branch import put_into_training

WARM_UP, ROUNDS, GROUP = 3, 7, 10
BATCH, SHAPE, CLASSES, LR = 32, (3, 32, 32), 7, 5e-5
MODEL = ("model=convnet", "model.width=32")
Step = Callable[[], Any]


def step_costs(methods: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Measure the processor time of a training step of each method over that of float.

    Args:
        methods: what is written on a command line, for example ``quantizer=[lsq]``, by the name of a row.

    Returns:
        The ratio by name, in the order given; this takes about a second a method.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names = list(methods)
    costs: dict[str, float] = {}
    try:
        for start in range(0, len(names), GROUP):
            costs |= _take_turns({name: methods[name] for name in names[start : start + GROUP]})
    finally:
        torch.set_num_threads(threads)
    return costs


def _take_turns(methods: Mapping[str, Sequence[str]]) -> dict[str, float]:
    float_row = "float itself"
    rows = {float_row: ("quantizer=[float]",), **methods}
    steps = {name: _step_of(load([*MODEL, *words])) for name, words in rows.items()}
    rounds = []
    for _ in range(WARM_UP + ROUNDS):
        times = {}
        for name, step in steps.items():
            began = time.process_time()
            step()
            times[name] = time.process_time() - began
        rounds.append(times)
    return {name: median(times[name] / times[float_row] for times in rounds[WARM_UP:]) for name in methods}


def _step_of(experiment: Experiment) -> Step:
    """A step of the first quantizer under the step rule, as a cell takes it."""
    torch.manual_seed(0)
    network = experiment.setups[0].model.build(SHAPE, CLASSES)
    algorithm = ERM(network, 1, lambda params: torch.optim.Adam(params, LR, fused=True))
    algorithm.rule = experiment.step_rule.build()
    quantizer = experiment.quantizers[0].create(0)
    x, y = torch.randn(BATCH, *SHAPE), torch.arange(BATCH) % CLASSES
    quantizer.prepare(network, x[:4])
    put_into_training(algorithm, quantizer, LR)
    train_mode(algorithm, freeze_bn=True)
    count = 0

    def step() -> None:
        nonlocal count
        algorithm.update([(x, y)])
        count += 1
        quantizer.on_step(network, count)

    return step
