"""The algorithm interface: ``update`` on one batch from each source domain, ``predict`` on images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from quantdg.bench.models.base import DGModel
from quantdg.bench.protocol import OptimizerFactory
from quantdg.core.errors import DivergedError

Minibatches = list[tuple[Tensor, Tensor]]
"""One (images, labels) pair for each source domain, images float (N, C, H, W), labels int64 (N,)."""


class Algorithm(nn.Module, ABC):
    """DomainBed's contract (``update(minibatches) -> dict of floats``, ``predict(x) -> logits``).

    Most algorithms are a loss: they write `losses` and inherit `update`.

    Args:
        network: the model to train.
        num_domains: number of source domains.
        optimizer: builds the optimizer from the algorithm's parameters.
    """

    min_domains: ClassVar[int] = 1
    double_backward: ClassVar[bool] = False

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory) -> None:
        super().__init__()
        self.network = network
        self.num_domains = num_domains
        self.optimizer = optimizer(self.parameters())
        self.penalty: Callable[[], Tensor | None] = lambda: None

    @abstractmethod
    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Scalars by name; ``loss`` is minimised, the others are logged."""

    def update(self, minibatches: Minibatches) -> dict[str, float]:
        """One optimizer step; DivergedError where the loss is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.losses(minibatches)
        penalty = self.penalty()
        loss = terms["loss"] if penalty is None else terms["loss"] + penalty
        if not bool(torch.isfinite(loss)):
            raise DivergedError(
                f"the training loss is {float(loss.detach())}; lower protocol.lr or the quantizer's lr_ratio"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {name: float(value.detach()) for name, value in terms.items()}

    def predict(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        out: Tensor = self.network(x)
        return out


def concatenate(minibatches: Minibatches) -> tuple[Tensor, Tensor]:
    """All domains' images and labels as one batch, in domain order."""
    return torch.cat([x for x, _ in minibatches]), torch.cat([y for _, y in minibatches])
