r"""RSC (representation self-challenging): train without the features that the decision leans on most.

    g = d z_y / d feature;   mask_f = g < its (1 - f) quantile, per example
    drop = p_y(features) - p_y(features * mask_f);   examples with drop < its (1 - b) quantile keep all features
    L = CE on the masked features

Reference: Huang et al., "Self-Challenging Improves Cross-Domain Generalization", ECCV 2020; defaults of DomainBed
(MIT).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Ranges, Uniform
from ...quantizers.fake_quant import frozen_ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches, class_probabilities
from .base import Algorithm, concatenate


def below_quantile(x: Tensor, q: float) -> Tensor:
    """Say which values lie below the ``q`` quantile, 0 to 1, of their row (the last dimension, of n values).

    The quantile lies at rank q (n - 1), so that what is below it is below the value of the next whole rank. An
    interpolation in float32 misses where that rank is whole: at 1/3 it keeps a feature too many of 64, 256 and 1024.
    """
    rank = math.ceil(round(q * (x.shape[-1] - 1), 6))
    return x < x.kthvalue(rank + 1, dim=-1, keepdim=True).values


class RSC(Algorithm):
    """It is ERM on muted features.

    Args:
        drop_features: f, share of the features muted, 0 to 1; DomainBed uses 1/3.
        drop_examples: b, share of the examples whose features are muted, 0 to 1; DomainBed uses 1/3.
    """

    ranges: ClassVar[Ranges] = {"drop_features": Uniform(0.0, 0.5), "drop_examples": Uniform(0.0, 0.5)}

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        drop_features: float = 1 / 3,
        drop_examples: float = 1 / 3,
    ) -> None:
        if not (0 <= drop_features <= 1 and 0 <= drop_examples <= 1):
            raise ConfigError(
                "algorithm.rsc.drop_features and drop_examples must lie between 0 and 1, got "
                f"{drop_features} and {drop_examples}; DomainBed uses 1/3"
            )
        super().__init__(network, num_domains, optimizer)
        self.drop_features, self.drop_examples = drop_features, drop_examples

    def mask(self, features: Tensor, truth: Tensor) -> Tensor:
        """Return 1 for what is kept, (N, d), from features (N, d) and class probabilities (N, classes)."""
        leaf = features.detach().requires_grad_()
        with frozen_ranges(self.network):
            logits = self.network.classifier(leaf)
            (gradient,) = torch.autograd.grad((logits * truth).sum(), leaf)
            keep = below_quantile(gradient, 1 - self.drop_features)
            muted = self.network.classifier(leaf * keep)
        with torch.no_grad():
            drop = ((logits.softmax(1) - muted.softmax(1)) * truth).sum(1)
            untouched = below_quantile(drop, 1 - self.drop_examples)
            return torch.where(untouched[:, None], 1.0, keep.to(features.dtype))

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy on the masked features."""
        x, y = concatenate(minibatches)
        features = self.network.featurizer(x)
        mask = self.mask(features, class_probabilities(y, self.network.classifier.out_features))
        return {"loss": F.cross_entropy(self.network.classifier(features * mask), y), "kept": mask.mean()}
