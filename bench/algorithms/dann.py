r"""DANN: features from which a discriminator cannot tell the source domain.

    discriminator update:  min over D of  CE(D(features), domain) + eta |d CE / d features|^2
    classifier update:     min over the network of  CE(f(x), y) - lambda * CE(D(features), domain)

Updates alternate: ``d_steps`` of the discriminator for each one of the network, so with d_steps = 1 half of a protocol's
steps do not train the classifier, as in DomainBed. One Adam serves both players: it leaves parameters without a
gradient, and their moments, alone, which equals DomainBed's two optimizers and checkpoints like any other.
The quantizer's penalty is part of the network's updates only.

Reference: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016; alternation and defaults of
DomainBed (MIT).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Terms, concatenate
from .counting import Counting

BETAS = (0.5, 0.9)


class DANN(Counting):
    """It trains domain-adversarially; it needs at least two source domains.

    Args:
        weight: lambda, >= 0; DomainBed uses 1.
        d_steps: discriminator updates for each update of the network, >= 0; DomainBed uses 1.
        gradient_penalty: eta, >= 0; DomainBed uses 0.
        width: of the discriminator's two hidden layers, >= 1; DomainBed uses 256.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {
        "weight": Log(0.01, 100.0),
        "d_steps": Log(1, 7, whole=True),
        "gradient_penalty": Log(0.01, 10.0),
        "width": Log(64, 1023, whole=True),
    }

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float = 1.0,
        d_steps: int = 1,
        gradient_penalty: float = 0.0,
        width: int = 256,
    ) -> None:
        if not (weight >= 0 and gradient_penalty >= 0 and d_steps >= 0 and width >= 1):
            raise ConfigError(
                f"algorithm.{type(self).__name__.lower()} needs weight, gradient_penalty and d_steps of at least 0 and width of at least 1, got "
                f"{weight}, {gradient_penalty}, {d_steps} and {width}; DomainBed uses 1, 0, 1 and 256"
            )
        super().__init__(network, num_domains, optimizer)
        self.weight, self.d_steps, self.gradient_penalty = weight, d_steps, gradient_penalty
        features = network.classifier.in_features
        self.discriminator = nn.Sequential(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, num_domains)
        )
        self.start_counting()
        self._join(self.discriminator.parameters())

    def _join(self, parameters: Iterable[nn.Parameter]) -> None:
        """The discriminator's group, without weight decay; all groups, also later ones, get the adversarial betas."""
        self.optimizer.add_param_group({"params": list(parameters), "weight_decay": 0.0})
        for group in (self.optimizer.defaults, *self.optimizer.param_groups):
            if "betas" in group:
                group["betas"] = BETAS

    @property
    def discriminates(self) -> bool:
        """Whether the update that has begun is the discriminator's."""
        return self.now % (1 + self.d_steps) < self.d_steps

    def descend(self, minibatches: Minibatches) -> Terms:
        """Take one step of the player whose turn it is."""
        if self.discriminates:
            return self.step(lambda: self.domain_losses(minibatches), self.adversary(), penalised=False)
        return self.step(lambda: self.losses(minibatches), self.network.parameters())

    def adversary(self) -> list[nn.Parameter]:
        """Return the parameters that the discriminator's updates move."""
        return list(self.discriminator.parameters())

    def judged(self, features: Tensor, minibatches: Minibatches) -> Tensor:
        """Return what the discriminator sees of features (N, d)."""
        return features

    def confusion(self, logits: Tensor, domains: Tensor, minibatches: Minibatches) -> Tensor:
        """Compute the discriminator's mean loss, from its logits (N, domains) and the true domains (N,)."""
        return F.cross_entropy(logits, domains)

    def domain_losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute what the discriminator minimises."""
        with torch.no_grad():
            features = self.network.featurizer(concatenate(minibatches)[0])
        return {"loss": self._domain_loss(features, minibatches)}

    def _domain_loss(self, features: Tensor, minibatches: Minibatches) -> Tensor:
        domains = torch.cat([torch.full((len(y),), d, device=y.device) for d, (_, y) in enumerate(minibatches)])
        loss = self.confusion(self.discriminator(self.judged(features, minibatches)), domains, minibatches)
        if self.gradient_penalty == 0:
            return loss
        judged = self.judged(features.requires_grad_(), minibatches)
        total = F.cross_entropy(self.discriminator(judged), domains, reduction="sum")
        (gradient,) = torch.autograd.grad(total, features, create_graph=True)
        return loss + self.gradient_penalty * gradient.square().sum(1).mean()

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute what the network minimises."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        risk = F.cross_entropy(self.network.classifier(features), y)
        confusion = self._domain_loss(features, minibatches)
        return {"loss": risk - self.weight * confusion, "risk": risk, "discriminator": confusion}
