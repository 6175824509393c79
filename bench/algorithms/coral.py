r"""CORAL: match mean and covariance of the features between every two source domains.

    L = mean_d R_d + gamma * mean_{i<j} [ mean((mu_i - mu_j)^2) + mean((C_i - C_j)^2) ],  C = centred' centred / (b - 1)

Means are over elements, as in DomainBed, which unlike Deep CORAL also matches means and divides by d^2
instead of 4 d^2. DomainBed runs the featurizer on each domain alone, here on the concatenated batch: equal
wherever BatchNorm statistics are frozen.

References: Sun and Saenko, "Deep CORAL", ECCV 2016 workshops; Gulrajani and Lopez-Paz, "In Search of Lost
Domain Generalization", ICLR 2021 (DomainBed, MIT).
"""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from quantdg.bench.algorithms.base import Algorithm, Minibatches, concatenate
from quantdg.bench.models.base import DGModel
from quantdg.bench.protocol import OptimizerFactory
from quantdg.core.errors import ConfigError


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and unbiased covariance (d, d) of features (b, d)."""
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def coral_penalty(features: list[Tensor]) -> Tensor:
    """The mean over domain pairs of the squared differences of means and covariances."""
    stats = [moments(f) for f in features]
    terms = [(m - n).square().mean() + (c - d).square().mean() for (m, c), (n, d) in combinations(stats, 2)]
    return torch.stack(terms).mean()


class CORAL(Algorithm):
    """ERM with the correlation-alignment penalty; needs at least two source domains.

    Args:
        gamma: weight of the penalty, >= 0; DomainBed's default is 1.
    """

    min_domains: ClassVar[int] = 2

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, gamma: float = 1.0) -> None:
        if not gamma >= 0:
            raise ConfigError(f"algorithm.coral.gamma must be at least 0, got {gamma}; DomainBed uses 1")
        super().__init__(network, num_domains, optimizer)
        self.gamma = gamma

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Cross-entropy plus gamma times the penalty."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        risk = F.cross_entropy(self.network.classifier(features), y)
        penalty = coral_penalty(list(features.split([len(labels) for _, labels in minibatches])))
        return {"loss": risk + self.gamma * penalty, "risk": risk, "penalty": penalty}
