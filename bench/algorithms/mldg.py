r"""MLDG (first order): a step that helps one source domain should help another one too.

For each pair of a meta-train domain i and a meta-test domain j:
    w' = one fresh Adam step from w on R_i;   G += grad R_i(w) + beta * grad R_j(w'),   G divided by the domains

A fresh Adam's first step is -lr * g / (|g| + eps), so instead of cloning the network (and its quantizers) the weights
move in place and come back bit for bit; a quantizer's parameters stay. The pass at w' leaves BatchNorm statistics and
quantizer ranges alone.
The gradient is handed on as that of a linear function, so step rules and penalties compose.

Domains are permuted; the last ``meta_test`` (at most all but one) are for testing and are paired cyclically with the
others. As in DomainBed, pairs are fewer than domains but G is divided by all domains.
Live BatchNorm statistics move in the passes at w; DomainBed makes every pass on a clone, so its network keeps those it began
with.

Reference: Li et al., "Learning to Generalize: Meta-Learning for Domain Generalization", AAAI 2018; pairing and defaults
of DomainBed (MIT).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.ranges import Choice, Log, Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..step_rules.base import assign, unobserved
from ..transforms.base import Minibatches
from .base import Algorithm

_ADAM_EPS = 1e-8
Gradients = list[Tensor]


class MLDG(Algorithm):
    """It is the first-order MLDG; it needs at least two source domains.

    Args:
        beta: weight of the meta-test gradient, >= 0; DomainBed uses 1.
        meta_test: domains for meta-testing, >= 1; DomainBed uses 2.
    """

    min_domains: ClassVar[int] = 2
    ranges: ClassVar[Ranges] = {"beta": Log(0.1, 10.0), "meta_test": Choice((1, 2))}

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        beta: float = 1.0,
        meta_test: int = 2,
    ) -> None:
        if not beta >= 0 or meta_test < 1:
            raise ConfigError(
                f"algorithm.mldg needs beta of at least 0 and meta_test of at least 1, got {beta} and {meta_test}; "
                "DomainBed uses 1 and 2"
            )
        super().__init__(network, num_domains, optimizer)
        self.beta, self.meta_test = beta, meta_test

    def pairs(self, minibatches: Minibatches) -> Iterator[tuple[int, int]]:
        """Return (meta-train, meta-test) domain indices of an update."""
        order = torch.randperm(len(minibatches)).tolist()
        tested = min(self.meta_test, len(order) - 1)
        return zip(order[:-tested], cycle(order[-tested:]), strict=False)

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Return a function whose value is the objective and whose gradient is G."""
        weights = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        total = [torch.zeros_like(w) for w in weights]
        value = torch.zeros((), device=weights[0].device)
        for i, j in self.pairs(minibatches):
            (x, y), (x2, y2) = minibatches[i], minibatches[j]
            n = min(len(y), len(y2))
            risk, gradient = self._risk(x[:n], y[:n], weights)
            with self._stepped(weights, gradient), unobserved(self.network):
                tested, gradient2 = self._risk(x2[:n], y2[:n], weights)
            torch._foreach_add_(total, gradient)  # pyright: ignore[reportPrivateImportUsage]
            torch._foreach_add_(total, gradient2, alpha=self.beta)  # pyright: ignore[reportPrivateImportUsage]
            value += risk + self.beta * tested
        linear = torch.stack([(g * (w - w.detach())).sum() for g, w in zip(total, weights, strict=True)]).sum()
        return {"loss": (value + linear) / len(minibatches)}

    def _risk(self, x: Tensor, y: Tensor, weights: list[nn.Parameter]) -> tuple[Tensor, Gradients]:
        risk = F.cross_entropy(self.predict(x), y)
        found = torch.autograd.grad(risk, weights, allow_unused=True)
        return risk.detach(), [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]

    @contextmanager
    def _stepped(self, weights: list[nn.Parameter], gradient: Gradients) -> Iterator[None]:
        saved = [w.detach().clone() for w in weights]
        found = dict(zip(weights, gradient, strict=True))
        with torch.no_grad():
            for group in self.optimizer.param_groups:
                if group.get("quantizer", False):
                    continue
                for w in group["params"]:
                    if w in found:
                        w.sub_(group["lr"] * _first_step(w, found[w], group))
        try:
            yield
        finally:
            assign(weights, saved)


def _first_step(w: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """The first step of the group's optimizer at learning rate 1: Adam's is the gradient's sign, SGD's the gradient."""
    decay: Tensor = float(group.get("weight_decay", 0.0)) * w
    if "betas" not in group:
        return gradient + decay
    if group.get("decoupled_weight_decay"):
        return gradient / (gradient.abs() + _ADAM_EPS) + decay
    g = gradient + decay
    return g / (g.abs() + _ADAM_EPS)
