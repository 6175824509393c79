r"""Fish: gradients of the source domains that agree, by sequential steps and a share of the way they lead.

    w' = w;  for each source domain d:  w' <- one optimizer step on R_d(w');   w <- w + epsilon (w' - w)

To first order in the learning rate, this maximises the inner product of the domains' gradients beside lowering their
risks. The optimizer keeps its moments from one update to the next, and domains come in their given order, both as in
DomainBed; the paper's algorithm permutes them.

Instead of a clone the parameters move in place and are then interpolated, a quantizer's own included; buffers are those
after the last domain, where DomainBed interpolates BatchNorm statistics and counters as well. An update counts as one
step of the protocol, although it is as many optimizer steps as there are domains, each on one domain's batch, so
that live BatchNorm normalises each domain by itself. The quantizer's penalty is part of the last of them.

Reference: Shi et al., "Gradient Matching for Domain Generalization", ICLR 2022, algorithm 1; defaults of DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import ConfigError
from ...core.ranges import Choice, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, Terms, concatenate


class Fish(Algorithm):
    """It goes ``meta_lr`` of the way of one step on each source domain; it needs at least two.

    Args:
        meta_lr: epsilon, above 0, at most 1; DomainBed uses 0.5. At 1 it is plain training on one domain after another.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"meta_lr": Choice((0.05, 0.1, 0.5))}

    def __init__(
        self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, meta_lr: float = 0.5
    ) -> None:
        if not 0 < meta_lr <= 1:
            raise ConfigError(
                f"algorithm.fish.meta_lr must be above 0 and at most 1, got {meta_lr}; DomainBed uses 0.5"
            )
        super().__init__(network, num_domains, optimizer)
        self.meta_lr = meta_lr

    def descend(self, minibatches: Minibatches) -> Terms:
        """Take the steps and go back part of the way; the terms are means over the domains."""
        weights = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        start = [w.detach().clone() for w in weights]
        found = []
        for batch in minibatches:
            last = batch is minibatches[-1]
            found.append(self.step(lambda batch=batch: self.losses([batch]), penalised=last))  # type: ignore[misc]
        with torch.no_grad():
            for w, before in zip(weights, start, strict=True):
                w.copy_(torch.lerp(before, w, self.meta_lr))
        return {name: torch.stack([terms[name].double() for terms in found]).sum() / len(found) for name in found[0]}

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy on the given domains."""
        x, y = concatenate(minibatches)
        return {"loss": F.cross_entropy(self.predict(x), y)}
