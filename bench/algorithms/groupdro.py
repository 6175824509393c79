r"""Group DRO: minimise the worst source domain's risk by exponentiated weights.

    q_d <- q_d * exp(eta * R_d),   q <- q / sum q,   L = sum_d q_d R_d

q starts at ones and is part of the checkpoint. All domains go through the network at once and share the batch statistics of
a live BatchNorm; DomainBed sends each by itself.

Reference: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020; defaults of DomainBed
(MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, domain_risks


class GroupDRO(Algorithm):
    """It weighs the risks of the domains; with one source domain it is ERM.

    Args:
        eta: speed of the weights, >= 0; DomainBed uses 0.01.
    """

    ranges: ClassVar[Ranges] = {"eta": Log(0.001, 0.1)}

    q: Tensor

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, eta: float = 0.01) -> None:
        if not eta >= 0:
            raise ConfigError(f"algorithm.groupdro.eta must be at least 0, got {eta}; DomainBed uses 0.01")
        super().__init__(network, num_domains, optimizer)
        self.eta = eta
        self.register_buffer("q", torch.ones(num_domains))

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the weighted risks, after the weights have moved."""
        risks = domain_risks(self, minibatches)
        q = self.q * torch.exp(self.eta * risks.detach())
        q = q / q.sum()
        self.q.copy_(q)
        return {"loss": q @ risks, "worst": risks.max()}
