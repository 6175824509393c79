r"""EQRM: the alpha-quantile of the domains' risks, so that a new domain does worse with probability 1 - alpha at most.

    F(q) = mean_d Phi((q - R_d) / h),   h = 1.06 std(R) D^(-1/5),   L = q with F(q) = alpha

Phi is the standard normal's distribution function, std the unbiased deviation of the D risks (Gaussian kernels of
Scott's width, as in DomainBed). q is found by bisection in float64; its gradient is the exact one, by the implicit
function theorem:

    dq/dR_d = -(dF/dR_d) / (dF/dq),   whose direct part is phi_d / sum phi,   phi_d = phi((q - R_d) / h)

DomainBed differentiates through its bisection instead, which hands the direct part to the smallest and the largest risk
alone. With equal risks h is 0 and q their mean.

The first ``burn_in`` updates are ERM; then the moments are cleared and every learning rate is multiplied by lr /
(protocol's rate). DomainBed makes a new Adam with that rate; here parameter groups stay, and a quantizer's rate keeps
its ratio.

Reference: Eastwood et al., "Probable Domain Generalization via Quantile Risk Minimization", NeurIPS 2022, algorithm 1;
defaults of DomainBed (MIT).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges, Uniform
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .annealed import Annealed
from .base import domain_risks

_STEPS = 60


def kernel_quantile(risks: Tensor, alpha: float) -> Tensor:
    """Compute q, a differentiable scalar, of at least two risks (D,); alpha lies between 0 and 1, both excluded."""
    values = risks.double()
    width = 1.06 * values.std() * len(values) ** -0.2
    same = width.detach() < 1e-12
    width = torch.where(same, 1.0, width)
    q = _bisect(values.detach(), width.detach(), alpha)
    z = (q - values) / width
    density = (z.square() / -2).exp().mean().detach() / (math.sqrt(2 * math.pi) * width.detach())
    found: Tensor = q + (alpha - torch.special.ndtr(z).mean()) / density
    return torch.where(same, risks.mean(), found.to(risks.dtype))


def _bisect(values: Tensor, width: Tensor, alpha: float) -> Tensor:
    reach: Tensor = width * torch.special.ndtri(width.new_tensor(alpha))
    low, high = values.min() + reach, values.max() + reach
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = torch.special.ndtr((middle - values) / width).mean() < alpha
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


class EQRM(Annealed):
    """It minimises a quantile of the risks; it needs at least two source domains.

    Args:
        quantile: alpha, above 0 and below 1; DomainBed uses 0.75.
        burn_in: updates of ERM before, >= 0; DomainBed uses 2500.
        lr: learning rate after the burn-in, > 0; DomainBed uses 1e-6.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {
        "quantile": Uniform(0.5, 0.99),
        "burn_in": Log(316, 3161, whole=True),
        "lr": Log(1e-7, 1e-5),
    }

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        quantile: float = 0.75,
        burn_in: int = 2500,
        lr: float = 1e-6,
    ) -> None:
        if not (0 < quantile < 1 and burn_in >= 0 and lr > 0):
            raise ConfigError(
                "algorithm.eqrm needs quantile between 0 and 1, burn_in of at least 0 and lr above 0, got "
                f"{quantile}, {burn_in} and {lr}; DomainBed uses 0.75, 2500 and 1e-6"
            )
        super().__init__(network, num_domains, optimizer)
        self.quantile, self.lr = quantile, lr
        self.count_updates(burn_in)

    def set_rates(self, step: int, steps: int) -> None:
        """Set every learning rate, by the updates done lower after the burn-in."""
        super().set_rates(step, steps)
        if self.now >= self.anneal:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.lr / self.optimizer.defaults["lr"]

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the mean risk in the burn-in, the quantile after it."""
        risks = domain_risks(self, minibatches)
        return {"loss": kernel_quantile(risks, self.quantile) if self.late else risks.mean(), "risk": risks.mean()}
