"""The observer interface and the running mean all averages share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass
class Segment:
    """A segment is the mean of the parameters over the steps since the last checkpoint, or over several segments.

    Attributes:
        mean: parameter name -> tensor.
        count: how many sets of parameters the mean holds.
        step: last step inside.
        loss: source-validation loss at that step.
    """

    mean: Weights
    count: int = 0
    step: int = 0
    loss: float = float("inf")

    @torch.no_grad()
    def add(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Move the mean by (weights - mean) / (count + 1); the first one added replaces the mean."""
        self.count += 1
        self.step = step
        if self.count == 1:
            self.mean = {name: w.detach().clone() for name, w in weights.items()}
        else:
            torch._foreach_lerp_(list(self.mean.values()), [weights[n] for n in self.mean], 1 / self.count)  # pyright: ignore[reportPrivateImportUsage]


def mean_of(segments: Iterable[Segment]) -> Weights:
    """Return the mean of segments with equal weight."""
    total = Segment({})
    for segment in segments:
        total.add(segment.mean, segment.step)
    return total.mean


class WeightAverage(ABC):
    """An average sees the parameters after each step and the source-validation loss at each checkpoint."""

    @abstractmethod
    def after_step(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """See the parameters after a training step past the quantization step."""

    @abstractmethod
    def at_check(self, step: int, loss: float) -> None:
        """See the mean source-validation cross-entropy of the live model at a checkpoint."""

    @abstractmethod
    def result(self) -> tuple[int, Weights]:
        """Return (last step averaged, averaged parameters); called once, after the last checkpoint."""

    def state(self) -> dict[str, Any]:
        """Return what an interrupted training must keep: tensors, numbers, texts, `Segment` and containers.

        The default is all attributes; override it together with `restore` where others are among them.
        """
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of an observer with the same settings returned."""
        vars(self).update(state)
