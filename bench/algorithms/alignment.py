"""Shared by CORAL and MMD: ERM plus a distance between the features of every two source domains."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, concatenate, split_domains


class FeatureAlignment(Algorithm):
    """It minimises CE + gamma * mean over pairs of a distance; it needs at least two source domains.

    DomainBed runs the featurizer on each domain alone, here on the concatenated batch: equal wherever BatchNorm
    statistics are frozen.

    Args:
        gamma: weight of the distance, >= 0; DomainBed's default is 1.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"gamma": Log(0.1, 10.0)}

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, gamma: float = 1.0) -> None:
        if not gamma >= 0:
            name = type(self).__name__.lower()
            raise ConfigError(f"algorithm.{name}.gamma must be at least 0, got {gamma}; DomainBed uses 1")
        super().__init__(network, num_domains, optimizer)
        self.gamma = gamma

    @abstractmethod
    def distance(self, features: list[Tensor]) -> Tensor:
        """Return the scalar distance between domains, given each domain's features (b, d)."""

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy plus gamma times the distance."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        risk = F.cross_entropy(self.network.classifier(features), y)
        penalty = self.distance(split_domains(features, minibatches))
        return {"loss": risk + self.gamma * penalty, "risk": risk, "penalty": penalty}
