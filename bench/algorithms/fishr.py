r"""Fishr: equal variance of the classifier's per-example gradients in all source domains.

    L = mean_d R_d + lambda * mean_d mean((v_d - mean_d v_d)^2),   v_d = variance over examples of d CE / d (W, b)

The classifier is linear, so with E = softmax(logits) - onehot (n, K) and features Z (n, d), no per-example autograd is
needed:  v_W = (E^2)' Z^2 / n - (E' Z / n)^2,  v_b = mean E^2 - (mean E)^2.
v_d enters as its moving average over updates divided by (1 - decay), so that its gradient does not depend on the
decay; the averages are part of the checkpoint. lambda is 0 for the first updates; see `AnnealedPenalty`.

Reference: Rame et al., "Fishr: Invariant Gradient Variances for Out-of-Distribution Generalization", ICML 2022
(alexrame/fishr); defaults of DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges, Uniform
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches, class_probabilities
from .annealed import AnnealedPenalty
from .base import concatenate, split_domains


def gradient_variance(features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the population variance over examples of the classifier's gradient, weight rows then bias.

    Args:
        features: of n examples, (n, d).
        logits: of the same examples, (n, K).
        labels: (n,) class indices or (n, K) probabilities.
    """
    n = len(features)
    error = logits.softmax(1) - class_probabilities(labels, logits.shape[1])
    weight = error.square().T @ features.square() / n - (error.T @ features / n).square()
    return torch.cat([weight.flatten(), error.var(0, correction=0)])


class Fishr(AnnealedPenalty):
    """It takes differences of gradient variances as the penalty; it needs at least two source domains.

    Args:
        weight: lambda after the jump, >= 0; DomainBed uses 1000.
        anneal: updates before the jump, with weight 0; DomainBed uses 1500.
        decay: of the moving average, 0 to below 1; DomainBed uses 0.95.
    """

    min_domains: ClassVar[int] = 2
    early: ClassVar[float] = 0.0
    ranges: ClassVar[Ranges] = {
        "weight": Log(10.0, 10_000.0),
        "anneal": Uniform(0, 4999, whole=True),
        "decay": Uniform(0.9, 0.99),
    }
    average: Tensor

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float = 1000.0,
        anneal: int = 1500,
        decay: float = 0.95,
    ) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"algorithm.fishr.decay must be at least 0 and below 1, got {decay}; DomainBed uses 0.95")
        super().__init__(network, num_domains, optimizer, weight=weight, anneal=anneal)
        self.decay = decay
        head = network.classifier
        self.register_buffer("average", torch.zeros(num_domains, head.out_features * (head.in_features + 1)))

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy plus lambda times the spread of the averaged variances."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        logits = self.network.classifier(features)
        parts = zip(split_domains(features, minibatches), split_domains(logits, minibatches), minibatches, strict=True)
        variances = torch.stack([gradient_variance(f, z, labels) for f, z, (_, labels) in parts])
        average = self.decay * self.average + (1 - self.decay) * variances
        self.average.copy_(average.detach())
        penalty = average.div(1 - self.decay).var(0, correction=0).mean()
        return self.total(F.cross_entropy(logits, y), penalty)
