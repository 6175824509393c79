"""Shared by IRM, V-REx and Fishr: a penalty whose weight jumps once, with fresh optimizer moments at the jump."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from .base import Algorithm


class AnnealedPenalty(Algorithm):
    """It minimises risk + weight * penalty; the weight is ``early`` for ``anneal`` updates, then ``weight``.

    DomainBed re-creates Adam at the jump; here its moments are cleared, which is the same for its parameters and
    keeps those that a quantizer has added. The IRM paper's script divides the loss by a weight above 1 instead, which
    to an Adam with fresh moments is the same.

    Args:
        weight: of the penalty after the jump, >= 0.
        anneal: updates before the jump, >= 0.
    """

    early: ClassVar[float] = 1.0
    updates: Tensor

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float,
        anneal: int,
    ) -> None:
        if not weight >= 0 or anneal < 0:
            name = type(self).__name__.lower()
            raise ConfigError(
                f"algorithm.{name} needs weight and anneal of at least 0, got {weight} and {anneal}; write for example "
                f"algorithm.{name}.weight=10"
            )
        super().__init__(network, num_domains, optimizer)
        self.weight, self.anneal = weight, anneal
        self.register_buffer("updates", torch.tensor(0))

    def begin_step(self) -> None:
        """Count the update; clear the moments where the weight jumps."""
        if int(self.updates) == self.anneal != 0:
            self.reset_optimizer()
        self.updates += 1

    @property
    def present_weight(self) -> float:
        """The weight in the update that has begun."""
        return self.weight if int(self.updates) > self.anneal else self.early

    def total(self, risk: Tensor, penalty: Tensor) -> dict[str, Tensor]:
        """Return the terms, with the loss put together."""
        return {"loss": risk + self.present_weight * penalty, "risk": risk, "penalty": penalty}
