r"""SagNet (style-agnostic network): decide by content, not by style.

On features f (N, d), style being their mean and variance over d:
    content step (featurizer and classifier):   CE(classifier(style of f mixed with a partner's, alpha ~ U(0, 1)), y)
    style step (style network):                 CE(style network(style of f on a partner's content), y)
    adversarial step (featurizer):              lambda * mean(-log softmax(style network(...)))

One Adam serves the three players: it leaves parameters without a gradient alone. The featurizer takes two steps an
update. The quantizer's penalty is part of the content step. Pooled vectors stand in for the paper's feature maps, as in
DomainBed.

Reference: Nam et al., "Reducing Domain Gap by Reducing Style Bias", CVPR 2021; DomainBed's variant (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.host import sent
from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, Terms, concatenate

_EPS = 1e-5


def normalised(f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split features (N, d) into (content (N, d), mean (N, 1), variance (N, 1))."""
    var, mean = torch.var_mean(f, -1, keepdim=True)
    return (f - mean) / (var + _EPS).sqrt(), mean, var


def mix_style(f: Tensor, alpha: Tensor, partner: Tensor) -> Tensor:
    """Mix mean and variance of f: alpha (N, 1) of its own, the rest of ``partner`` (N,)."""
    content, mean, var = normalised(f)
    mean = alpha * mean + (1 - alpha) * mean[partner]
    var = alpha * var + (1 - alpha) * var[partner]
    return content * (var + _EPS).sqrt() + mean


def swap_content(f: Tensor, partner: Tensor) -> Tensor:
    """Return the content of ``partner``, without gradient, in the style of f."""
    content, mean, var = normalised(f)
    return content[partner].detach() * (var + _EPS).sqrt() + mean


class SagNet(Algorithm):
    """It classifies under randomised styles, against a style network.

    Args:
        weight: lambda, >= 0; DomainBed uses 0.1.
    """

    ranges: ClassVar[Ranges] = {"weight": Log(0.01, 10.0)}

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, weight: float = 0.1) -> None:
        if not weight >= 0:
            raise ConfigError(f"algorithm.sagnet.weight must be at least 0, got {weight}; DomainBed uses 0.1")
        super().__init__(network, num_domains, optimizer)
        self.weight = weight
        head = network.classifier
        self.style = nn.Linear(head.in_features, head.out_features)
        self.optimizer.add_param_group({"params": list(self.style.parameters())})

    def descend(self, minibatches: Minibatches) -> Terms:
        """Take the three steps; the terms are those of the content step with the other two losses added."""
        x, y = concatenate(minibatches)
        content = self.step(lambda: self.losses(minibatches), self.network.parameters())
        style = self.step(lambda: self._style_loss(x, y), self.style.parameters(), penalised=False)
        adversarial = self.step(lambda: self._adversarial_loss(x), self.network.featurizer.parameters(), False)
        return {**content, "style": style["loss"], "adversarial": adversarial["loss"]}

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the content step's loss."""
        x, y = concatenate(minibatches)
        f = self.network.featurizer(x)
        alpha, partner = sent(torch.rand(len(f), 1).to(f.dtype), f.device), sent(torch.randperm(len(f)), f.device)
        return {"loss": F.cross_entropy(self.network.classifier(mix_style(f, alpha, partner)), y)}

    def _style_logits(self, x: Tensor) -> Tensor:
        f = self.network.featurizer(x)
        logits: Tensor = self.style(swap_content(f, sent(torch.randperm(len(f)), f.device)))
        return logits

    def _style_loss(self, x: Tensor, y: Tensor) -> Terms:
        return {"loss": F.cross_entropy(self._style_logits(x), y)}

    def _adversarial_loss(self, x: Tensor) -> Terms:
        return {"loss": -self.weight * F.log_softmax(self._style_logits(x), 1).mean()}
