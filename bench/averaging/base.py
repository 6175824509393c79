"""The observer interface and the running mean all averages share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...core.errors import ConfigError

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
    """An average sees the parameters after each step and the source-validation loss at each checkpoint.

    Attributes:
        trains: whether it is a `TrainingAverage`.
    """

    trains: ClassVar[bool] = False

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


class TrainingAverage(WeightAverage):
    """An average that takes part in the training: it sets the rates, and once its mean becomes the network's weights.

    Every row of its cell is then of the averaged network, the stored and deployed model too: checkpoints from before are
    not selected from. So it goes alone, and its name is part of the method's in tables.

    Attributes:
        quantized: whether `after_step` sees the weights of sites as they are computed with, dequantized; else latent ones.
    """

    trains = True
    quantized: bool = False

    @abstractmethod
    def begin(self, start: int, steps: int) -> None:
        """Get to know the quantization step and the last one, before all else; ConfigError where it does not fit."""

    @abstractmethod
    def factor(self, step: int) -> float:
        """Return the factor on the learning rates at a step past the quantization step, above 0."""

    @abstractmethod
    def captures(self, step: int) -> bool:
        """Say whether `after_step` is called after this step; it is called after no other."""

    @abstractmethod
    def replaces(self, step: int) -> bool:
        """Say whether `result` becomes the weights after this step, and a capture if there is one."""

    def at_check(self, step: int, loss: float) -> None:
        """Do nothing: what is averaged does not depend on validation."""

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """Return what the record says of the mean: numbers, texts and lists."""


def training_average(averages: Collection[WeightAverage]) -> TrainingAverage | None:
    """Return the one that takes part in the training, if there is one; ConfigError where it is not alone."""
    found = [average for average in averages if isinstance(average, TrainingAverage)]
    if found and len(averages) > 1:
        raise ConfigError(
            f"an average that takes part in the training must be the only one, {type(found[0]).__name__} is one of "
            f"{len(averages)}; run the others in cells of their own, averaging=[swad]"
        )
    return found[0] if found else None
