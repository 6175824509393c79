r"""CDANN: features from which a discriminator that knows the class cannot tell the source domain.

It is DANN with two changes: the discriminator sees  features + E[y],  with a trained embedding E (classes, d), and its
loss weighs the classes of the batch alike:

    sum_i w_i CE(D(features_i + E[y_i]), domain_i),   w_i = 1 / (n_{y_i} K),   n_k examples of class k, K classes present

so that differences of the class shares between domains are no reason to change features. DomainBed divides by the
largest label of the batch plus 1 instead of K, which differs where a class is missing. The embedding moves with the
discriminator. Soft labels (mixup) count and embed by their shares.

Reference: Li et al., "Deep Domain Generalization via Conditional Invariant Adversarial Networks", ECCV 2018; DomainBed's
variant (MIT), in which one discriminator takes the place of the paper's one for each class.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches, class_probabilities
from .dann import DANN


def balanced_weights(truth: Tensor) -> Tensor:
    """Return w (N,), sum 1, of class probabilities (N, classes)."""
    counts = truth.sum(0)
    shares = torch.where(counts > 0, 1 / counts, 0.0)
    return truth @ shares / (counts > 0).sum()


class CDANN(DANN):
    """It trains domain-adversarially within classes; it needs at least two source domains.

    Args:
        options: as for `DANN`.
    """

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, **options: Any) -> None:
        super().__init__(network, num_domains, optimizer, **options)
        head = network.classifier
        self.class_embeddings = nn.Embedding(head.out_features, head.in_features)
        self._join(self.class_embeddings.parameters())

    def adversary(self) -> list[nn.Parameter]:
        """Return the parameters of the discriminator and the embedding."""
        return [*super().adversary(), *self.class_embeddings.parameters()]

    def judged(self, features: Tensor, minibatches: Minibatches) -> Tensor:
        """Return what the discriminator sees: features plus the embedding of the class."""
        return features + self._truth(minibatches) @ self.class_embeddings.weight

    def confusion(self, logits: Tensor, domains: Tensor, minibatches: Minibatches) -> Tensor:
        """Compute the class-balanced cross-entropy of the discriminator."""
        loss = F.cross_entropy(logits, domains, reduction="none")
        return (balanced_weights(self._truth(minibatches)) * loss).sum()

    def _truth(self, minibatches: Minibatches) -> Tensor:
        classes = self.network.classifier.out_features
        return torch.cat([class_probabilities(y, classes) for _, y in minibatches])
