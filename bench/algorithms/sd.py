r"""SD (spectral decoupling): keep logits small, so that no feature is learned at the cost of the others.

    L = CE + lambda * mean(logits^2)

Reference: Pezeshki et al., "Gradient Starvation: A Learning Proclivity in Neural Networks", NeurIPS 2021; default of
DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, concatenate


class SD(Algorithm):
    """It is ERM with a penalty on the logits.

    Args:
        weight: lambda, >= 0; DomainBed uses 0.1.
    """

    ranges: ClassVar[Ranges] = {"weight": Log(1e-5, 0.1)}

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, weight: float = 0.1) -> None:
        if not weight >= 0:
            raise ConfigError(f"algorithm.sd.weight must be at least 0, got {weight}; DomainBed uses 0.1")
        super().__init__(network, num_domains, optimizer)
        self.weight = weight

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy plus lambda times the mean squared logit."""
        x, y = concatenate(minibatches)
        logits = self.predict(x)
        risk, penalty = F.cross_entropy(logits, y), logits.square().mean()
        return {"loss": risk + self.weight * penalty, "risk": risk, "penalty": penalty}
