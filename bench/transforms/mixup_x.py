r"""Mixup with extrapolation between domains: a control, and no published method.

    x = lambda x_i + (1 - lambda) x_j,   lambda ~ Uniform(-a, 1 + a)
    y = l y_i + (1 - l) y_j,             l = lambda cut to 0..1

Pairs as in `mixup`; beyond both ends the images are extrapolated while the labels stay those of the nearer image. It stands
in for FGMix (arXiv 2209.14742, "mixup with interpolation and extrapolation" towards flatter minima, with weights from
gradients), whose equations, ranges and feature layer no text or code confirms: do not report it as FGMix.

The range, its width and the cut labels are our own choice.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ...core.errors import ConfigError
from ..models.base import DGModel
from .base import Minibatches, Transform, class_probabilities
from .mixup import mix


class MixupX(Transform):
    """It mixes and extrapolates images between domains; it needs at least two source domains.

    Args:
        reach: a, how far beyond both ends, >= 0; 0 is interpolation with a uniform weight.
    """

    min_domains: ClassVar[int] = 2

    def __init__(self, *, reach: float = 0.2) -> None:
        if not reach >= 0:
            raise ConfigError(f"transform.mixup_x.reach must be at least 0, got {reach}; write for example 0.2")
        self.reach = reach
        self.classes = 0

    def attach(self, network: DGModel) -> None:
        """Learn the number of classes."""
        self.classes = network.classifier.out_features

    def __call__(self, minibatches: Minibatches) -> Minibatches:
        """Return as many mixed batches as domains, with probabilities as labels."""
        order = torch.randperm(len(minibatches)).tolist()
        weights = (torch.rand(len(order)) * (1 + 2 * self.reach) - self.reach).tolist()
        out = []
        for first, second, weight in zip(order, [*order[1:], order[0]], weights, strict=True):
            (x, y), (x2, y2) = minibatches[first], minibatches[second]
            share = min(max(weight, 0.0), 1.0)
            labels = mix(class_probabilities(y, self.classes), class_probabilities(y2, self.classes), share)
            out.append((mix(x, x2, weight), labels))
        return out
