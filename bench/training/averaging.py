"""Weight averages beside a training: what they are shown, and where one of them takes part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...quantizers.base import Quantizer
from ..algorithms.base import Algorithm
from ..averaging.base import TrainingAverage, WeightAverage, Weights, training_average
from ..experiment.protocol import Protocol
from ..schedules.base import Schedule
from .data import CellData

Averages = Mapping[str, WeightAverage]


class _Both(Schedule):
    """The rates of an experiment times those of an average."""

    def __init__(self, schedule: Schedule, average: TrainingAverage) -> None:
        self.schedule, self.average = schedule, average

    def factor(self, step: int, steps: int) -> float:
        """Return the product."""
        return self.schedule.factor(step, steps) * self.average.factor(step)


def begin_averaging(averages: Averages, algorithm: Algorithm, protocol: Protocol) -> None:
    """Let an average that takes part set the rates; ConfigError where it does not fit the protocol or is not alone."""
    average = training_average(averages.values())
    if average is not None:
        average.begin(protocol.start_step, protocol.steps)
        algorithm.schedule = _Both(algorithm.schedule, average)


def observe(averages: Averages, step: int, network: nn.Module, quantizer: Quantizer) -> None:
    """Show the averages the parameters after a step: all of them, or those that an average asks for when it does."""
    weights: dict[str, Tensor] = dict(network.named_parameters())
    for average in averages.values():
        if not isinstance(average, TrainingAverage):
            average.after_step(step, weights)
        elif average.captures(step):
            average.after_step(step, {**weights, **computed_with(network, quantizer)} if average.quantized else weights)


def computed_with(network: nn.Module, quantizer: Quantizer) -> Weights:
    """Return the weights of sites as an evaluation computes with them, by the name of the Parameter; none where all are float."""
    if quantizer.post_training:
        return {}
    own = dict(network.named_parameters())
    found = {site.key(name): site.weight.dequantize() for name, site in quantizer.export(network).items()}
    return {name: value for name, value in found.items() if name in own}


def take_over(
    averages: Averages, step: int, algorithm: Algorithm, quantizer: Quantizer, *, data: CellData
) -> dict[str, Any]:
    """Make an average's mean the weights, where its time has come, and clear the moments.

    Returns:
        What the record says of it; empty where nothing was changed.
    """
    average = training_average(averages.values())
    if average is None or not average.replaces(step):
        return {}
    set_weights(algorithm.network, average.result()[1])
    policy = "float" if quantizer.post_training else quantizer.after_average(algorithm.network, data.calibration())
    algorithm.reset_optimizer()
    return {"step": step, "policy": policy, **average.report()}


@torch.no_grad()
def set_weights(network: nn.Module, weights: Weights) -> None:
    """Copy values to the parameters of these names."""
    parameters = dict(network.named_parameters())
    for name, value in weights.items():
        parameters[name].copy_(value)
