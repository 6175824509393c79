"""The transform interface: a change of the batches, or of the features inside the network while it trains."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..models.base import DGModel

Minibatches = list[tuple[Tensor, Tensor]]
"""One (images, labels) pair for each source domain: images float (N, C, H, W), labels int64 (N,), or after a
transform that mixes labels class probabilities (N, classes)."""


class Transform:
    """Stateless; random numbers come from torch's global generator.

    Class attributes: ``min_domains`` source domains at least.
    """

    min_domains: ClassVar[int] = 1

    def attach(self, network: DGModel) -> None:
        """Called once with the float network; adds no parameter, buffer or state-dict key."""

    def __call__(self, minibatches: Minibatches) -> Minibatches:
        """The batches to train on; the argument is shared between runs and is left as it is."""
        return minibatches


def class_probabilities(labels: Tensor, classes: int) -> Tensor:
    """(N, classes) float: one-hot rows for class indices; rows that are probabilities already pass."""
    return nn.functional.one_hot(labels, classes).float() if labels.dim() == 1 else labels
