r"""V-REx: equal risks in all source domains.

    L = mean_d R_d + lambda * mean_d (R_d - mean R)^2

lambda is 1 for the first updates; see `AnnealedPenalty`.

Reference: Krueger et al., "Out-of-Distribution Generalization via Risk Extrapolation (REx)", ICML 2021; defaults of
DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .annealed import AnnealedPenalty
from .base import domain_risks


class VREx(AnnealedPenalty):
    """It takes the variance of the risks as the penalty; it needs at least two source domains.

    Args:
        weight: lambda after the jump, >= 0; DomainBed uses 10.
        anneal: updates before the jump; DomainBed uses 500.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"weight": Log(0.1, 100_000.0), "anneal": Log(1, 9999, whole=True)}

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float = 10.0,
        anneal: int = 500,
    ) -> None:
        super().__init__(network, num_domains, optimizer, weight=weight, anneal=anneal)

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute mean and population variance of the risks."""
        risks = domain_risks(self, minibatches)
        return self.total(risks.mean(), risks.var(correction=0))
