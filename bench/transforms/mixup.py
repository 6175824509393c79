r"""Mixup between domains: train on convex combinations of images and labels from two source domains.

    x = lambda x_i + (1 - lambda) x_j,   y = lambda y_i + (1 - lambda) y_j,   lambda ~ Beta(alpha, alpha)

Domains are permuted and each is paired with the next one around the circle; one lambda a pair; the longer batch is cut.
Labels become class probabilities, so the cross-entropy of any algorithm is lambda CE(f(x), y_i) + (1 - lambda)
CE(f(x), y_j), and pair number d takes the place of domain d.
All pairs go through the network at once and share the batch statistics of a live BatchNorm, where DomainBed sends each by
itself.

References: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; between domains as in Gulrajani and
Lopez-Paz, "In Search of Lost Domain Generalization", ICLR 2021 (DomainBed's Mixup, MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ..models.base import DGModel
from .base import Minibatches, Transform, class_probabilities


def mix(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """Return weight * a + (1 - weight) * b on the rows that both have."""
    n = min(len(a), len(b))
    return weight * a[:n] + (1 - weight) * b[:n]


class Mixup(Transform):
    """It mixes images and labels between domains; it needs at least two source domains.

    Args:
        alpha: of the Beta distribution, > 0; DomainBed's default is 0.2.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"alpha": Log(0.1, 10.0)}

    def __init__(self, *, alpha: float = 0.2) -> None:
        if not alpha > 0:
            raise ConfigError(f"transform.mixup.alpha must be above 0, got {alpha}; DomainBed uses 0.2")
        self.alpha = alpha
        self.classes = 0

    def attach(self, network: DGModel) -> None:
        """Learn the number of classes."""
        self.classes = network.classifier.out_features

    def __call__(self, minibatches: Minibatches) -> Minibatches:
        """Return as many mixed batches as domains, with probabilities as labels."""
        order = torch.randperm(len(minibatches)).tolist()
        weights = torch.distributions.Beta(self.alpha, self.alpha).sample((len(order),)).tolist()
        out = []
        for first, second, weight in zip(order, [*order[1:], order[0]], weights, strict=True):
            (x, y), (x2, y2) = minibatches[first], minibatches[second]
            labels = mix(class_probabilities(y, self.classes), class_probabilities(y2, self.classes), weight)
            out.append((mix(x, x2, weight), labels))
        return out
