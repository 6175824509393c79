r"""MTL (marginal transfer learning): the classifier sees an image's features and the mean features of its domain.

    e_d = ema * mean(features of domain d's batch) + (1 - ema) * e_d before,   one vector a source domain
    logits = W f + b + V (e_d - mean_d e_d),   L = mean cross-entropy

The paper and DomainBed write the classifier on the concatenation, W f + V e_d + b; here V acts on the deviation from the
sources' mean, which changes b by V mean_d e_d and no decision (our reading). **Evaluation has source context only**: of a
domain that was never seen it takes the mean over the source domains, so that the deviation is 0, V drops out and the
network alone, which is what is quantized, averaged, packed and deployed, predicts each image by itself.
DomainBed evaluates with the mean features of the *test batch*: such a prediction depends on the other target images that
happen to be in the batch, and is no longer a function of an image that could be packed or proved. It is not offered.

With ema = 0.99, DomainBed's, e_d is nearly the batch's own mean: the factor belongs to the new batch. Newer versions of
DomainBed overwrite the embedding in place with standard normal numbers before it is used; that is not followed.

Reference: Blanchard et al., "Domain Generalization by Marginal Transfer Learning", JMLR 2021; defaults of DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.ranges import Choice, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, concatenate, split_domains


class MTL(Algorithm):
    """It trains with the domain's mean features beside the image's; it needs at least two source domains.

    Args:
        ema: share of the present batch in the domain's mean, above 0, at most 1; DomainBed uses 0.99.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"ema": Choice((0.5, 0.9, 0.99, 1.0))}
    embeddings: Tensor

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, ema: float = 0.99) -> None:
        if not 0 < ema <= 1:
            raise ConfigError(f"algorithm.mtl.ema must be above 0 and at most 1, got {ema}; DomainBed uses 0.99")
        super().__init__(network, num_domains, optimizer)
        self.ema = ema
        head = network.classifier
        self.context = nn.Linear(head.in_features, head.out_features, bias=False)
        self.optimizer.add_param_group({"params": list(self.context.parameters())})
        self.register_buffer("embeddings", torch.zeros(num_domains, head.in_features))

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy of each image with the context of its domain."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        means = torch.stack([f.mean(0) for f in split_domains(features, minibatches)])
        embeddings = self.ema * means + (1 - self.ema) * self.embeddings
        self.embeddings.copy_(embeddings.detach())
        shift = self.context(embeddings - embeddings.mean(0))
        sizes = torch.cat([torch.full((1,), len(labels), device=labels.device) for _, labels in minibatches])
        logits = self.network.classifier(features) + shift.repeat_interleave(sizes, 0, output_size=len(y))
        return {"loss": F.cross_entropy(logits, y)}
