"""The transform interface: a change of the batches, or of the features inside the network while it trains."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ...core.ranges import Ranges
from ..models.base import DGModel

Minibatches = list[tuple[Tensor, Tensor]]
"""One (images, labels) pair for each source domain: images float (N, C, H, W), labels int64 (N,), or after a
transform that mixes labels class probabilities (N, classes)."""


class Transform:
    """A transform holds no state; random numbers come from torch's global generator.

    Class attributes: ``min_domains`` source domains at least; ``ranges`` of the settings that a search sets, by name.
    """

    min_domains: ClassVar[int] = 1
    ranges: ClassVar[Ranges] = {}

    def attach(self, network: DGModel) -> None:
        """See the float network once; no parameter, buffer or state-dict key is added."""

    def __call__(self, minibatches: Minibatches) -> Minibatches:
        """Return the batches to train on; the argument is shared between runs and is left as it is."""
        return minibatches


def class_probabilities(labels: Tensor, classes: int) -> Tensor:
    """Return (N, classes) float: one-hot rows for class indices; rows of probabilities pass as they are."""
    return nn.functional.one_hot(labels, classes).float() if labels.dim() == 1 else labels
