r"""Ensembles of networks with the same classes.

EoA, EoQ:      argmax of (1/M) sum_m logits_m(x)
DiWA uniform:  one network with theta = (1/M) sum_m theta_m
DiWA greedy:   members by falling source-validation accuracy; one stays in the mean if the mean's accuracy does not drop

References: Arpit et al., "Ensemble of Averages", NeurIPS 2022; Javed et al., "QT-DoG", ICML 2025 (EoQ: the members are
quantized); Rame et al., "Diverse Weight Averaging for Out-of-Distribution Generalization", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import ConfigError

Weights = Mapping[str, Tensor]
Predictor = Callable[[Tensor], Tensor]


@torch.inference_mode()
def logits_of(member: Predictor, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the logits (N, classes) and the labels (N,) of all images; batches are (images, labels)."""
    outputs, labels = zip(*((member(images), y) for images, y in batches), strict=True)
    return torch.cat(outputs), torch.cat(labels)


def mean_logits(members: Sequence[Tensor]) -> Tensor:
    """Return the mean of the members' logits, each (N, classes)."""
    if not members:
        raise ConfigError("an ensemble needs at least one member, got none; name the cells to combine")
    return torch.stack([*members]).mean(0)


def correctness(logits: Tensor, labels: Tensor) -> NDArray[np.bool_]:
    """Return whether each example is predicted right, of logits (N, classes) and labels (N,)."""
    return np.asarray((logits.argmax(1) == labels).numpy())


def mean_weights(states: Sequence[Weights], parameters: Iterable[str]) -> dict[str, Tensor]:
    """Return the mean of state dicts.

    Args:
        states: of networks of one structure, at least one.
        parameters: names to average; the other entries, buffers, are the first state's. That is exact where
            BatchNorm statistics are frozen.
    """
    if not states:
        raise ConfigError("a mean of weights needs at least one member, got none; name the cells to combine")
    averaged = {n: torch.stack([s[n].double() for s in states]).mean(0).to(states[0][n].dtype) for n in parameters}
    return {**states[0], **averaged}


def greedy(
    states: Sequence[Weights], accuracies: Sequence[float], parameters: Sequence[str], score: Callable[[Weights], float]
) -> tuple[dict[str, Tensor], list[int]]:
    """Select members by DiWA's restricted selection.

    Args:
        states: of the members.
        accuracies: of each on source validation.
        parameters: names to average.
        score: source-validation accuracy of a state.

    Returns:
        The mean and the indices of the members in it, in the order they were taken.
    """
    order = sorted(range(len(states)), key=lambda i: -accuracies[i])
    kept: list[int] = order[:1]
    mean = mean_weights([states[i] for i in kept], parameters)
    best = score(mean)
    for i in order[1:]:
        candidate = mean_weights([states[k] for k in (*kept, i)], parameters)
        accuracy = score(candidate)
        if accuracy >= best:
            mean, best = candidate, accuracy
            kept.append(i)
    return mean, kept
