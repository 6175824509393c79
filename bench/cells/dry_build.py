"""Each part of an experiment built once and thrown away, so that a wrong setting is found before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from ...core.errors import ConfigError, QuantDGError, one_line
from ...core.threads import one_thread
from ...datasets.base import Outline
from ...quantizers.layers import choose
from ..averaging.base import training_average
from ..experiment.component import Component, import_object
from ..experiment.grid import Experiment
from ..experiment.setup import Setup


def build_network(model: Component, outline: Outline) -> nn.Module:
    """Build the network for a data set; ConfigError, with the library's words, where its settings make none."""
    try:
        network: nn.Module = model.build(outline.shape, len(outline.classes))
    except QuantDGError:
        raise
    except Exception as error:
        raise ConfigError(
            f"model {model.name} must be one that can be built, {model.options} gives {one_line(error)}; change these settings"
        ) from error
    lazy = next((name for name, p in network.named_parameters() if isinstance(p, UninitializedParameter)), None)
    if lazy is not None:
        raise ConfigError(
            f"model {model.name} must have all its Parameters when it is built, but {lazy!r} has no shape yet; run the "
            "network once on torch.zeros(1, *shape) where it is made"
        )
    return network


def try_network(network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Run a copy of a network on two images in each mode; ConfigError unless it gives logits (2, classes).

    Args:
        network: not changed; its weights must be float32.
        shape: (C, H, W) of the images.
    """
    _check_weights(network)
    with one_thread(), torch.random.fork_rng(devices=[]), torch.no_grad():
        for training in (True, False):
            mode = "training" if training else "evaluation"
            try:
                logits = deepcopy(network).train(training)(torch.rand(2, *shape))
            except Exception as error:
                raise ConfigError(
                    f"the network must run on images of shape {shape}, but in {mode} it ends with {one_line(error)}; "
                    "choose another size of images or another model"
                ) from error
            if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 2:
                found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
                raise ConfigError(f"the network must return logits (N, classes), but in {mode} 2 images give {found}")


def _check_weights(network: nn.Module) -> None:
    """Refuse weights that no quantizer can be put on, or no optimizer."""
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ConfigError(
                f"the network must be of Python modules, but {name} is a script; build it without torch.jit"
            )
    for name, parameter in network.named_parameters():
        if parameter.dtype != torch.float32:
            raise ConfigError(
                f"each weight must be float32, but {name} is {parameter.dtype}; build the network in float32 and write "
                "protocol.precision=bf16 to compute with less"
            )


def try_parts(experiment: Experiment, setup: Setup, network: nn.Module, sources: int) -> None:
    """Raise ConfigError for a setting that a part refuses; any other failure is left to the cells' records.

    Args:
        experiment: whose parts are tried.
        setup: the one of its data sets that they are tried for.
        network: as the parts will get it; not changed.
        sources: number of source domains.
    """
    for algorithm in experiment.algorithms:
        _try(partial(_algorithm, algorithm, network, sources))
    averages = experiment.averages_on(setup)
    for part in (*experiment.transforms, experiment.step_rule, experiment.schedule, *averages):
        _try(part.build)
    _try(partial(_averages, experiment, setup))
    _try(partial(_optimizer, experiment, setup))
    for quantizer in experiment.quantizers:
        _try(partial(quantizer.create, 0))
        if quantizer.spec is not None:
            choose(network, quantizer.spec)


def _algorithm(algorithm: Component, network: nn.Module, sources: int) -> None:
    algorithm.build(deepcopy(network), max(sources, import_object(algorithm.target).min_domains), lambda _: None)


def _averages(experiment: Experiment, setup: Setup) -> None:
    """Together, as one that takes part in the training must be alone, and it must fit each protocol."""
    average = training_average([part.build() for part in experiment.averages_on(setup)])
    if average is not None:
        for protocol in setup.protocols(experiment.start_steps):
            average.begin(protocol.start_step, protocol.steps)


def _optimizer(experiment: Experiment, setup: Setup) -> None:
    """On one parameter, so that a wrong option is found here."""
    protocol = setup.protocol
    parameter = nn.Parameter(torch.zeros(1))
    experiment.optimizer.build([parameter], lr=protocol.lr, weight_decay=protocol.weight_decay)


def _try(build: Callable[[], Any]) -> None:
    try:
        build()
    except ConfigError:
        raise
    except Exception:  # noqa: BLE001
        return
