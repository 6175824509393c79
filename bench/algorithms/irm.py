r"""IRM (v1): a classifier that is optimal in every source domain at once.

    L = mean_d R_d + lambda * mean_d P_d,   g = d/dw R_d(w * logits) at w = 1
    P_d = g_even * g_odd  (even and odd rows of the batch: unbiased, may be negative), or g^2 over the whole batch

g has a closed form, the mean over examples of sum_k (p_k - y_k) z_k with logits z, p = softmax(z): no gradient of a
gradient is needed. lambda is 1 for the first updates; see `AnnealedPenalty`.

References: Arjovsky et al., "Invariant Risk Minimization", arXiv 1907.02893; even and odd rows as in Gulrajani and
Lopez-Paz, "In Search of Lost Domain Generalization", ICLR 2021 (DomainBed, MIT).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.ranges import Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches, class_probabilities
from .annealed import AnnealedPenalty
from .base import concatenate, split_domains

Estimate = Literal["even_odd", "square"]


def scale_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute d/dw of the mean cross-entropy of w * logits at w = 1, a differentiable scalar.

    Args:
        logits: (N, classes).
        labels: (N,) class indices or (N, classes) probabilities.
    """
    error = logits.softmax(1) - class_probabilities(labels, logits.shape[1])
    return (error * logits).sum(1).mean()


def irm_penalty(logits: Tensor, labels: Tensor, estimate: Estimate) -> Tensor:
    """Compute P_d of one domain's batch; ``even_odd`` needs at least two rows."""
    if estimate == "square":
        return scale_gradient(logits, labels).square()
    return scale_gradient(logits[::2], labels[::2]) * scale_gradient(logits[1::2], labels[1::2])


class IRM(AnnealedPenalty):
    """It is invariant risk minimisation; it needs at least two source domains.

    Args:
        weight: lambda after the jump, >= 0; DomainBed uses 100.
        anneal: updates before the jump; DomainBed uses 500.
        estimate: ``even_odd`` (DomainBed) or ``square`` (the paper's full batches).
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"weight": Log(0.1, 100_000.0), "anneal": Log(1, 9999, whole=True)}

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float = 100.0,
        anneal: int = 500,
        estimate: Estimate = "even_odd",
    ) -> None:
        super().__init__(network, num_domains, optimizer, weight=weight, anneal=anneal)
        self.estimate: Estimate = estimate

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the mean over domains of risk and penalty."""
        logits = split_domains(self.predict(concatenate(minibatches)[0]), minibatches)
        labelled = [(z, y) for z, (_, y) in zip(logits, minibatches, strict=True)]
        risk = torch.stack([F.cross_entropy(z, y) for z, y in labelled]).mean()
        penalty = torch.stack([irm_penalty(z, y, self.estimate) for z, y in labelled]).mean()
        return self.total(risk, penalty)
