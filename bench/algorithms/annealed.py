"""Shared by IRM, V-REx, Fishr and EQRM: a loss that changes once, with fresh optimizer moments at the change."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ...core.errors import ConfigError
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from .counting import Counting


class Annealed(Counting):
    """It counts updates, and minimises something else after the first ``anneal`` of them.

    DomainBed re-creates Adam at the change; here its moments are cleared, which is the same for its parameters and keeps
    those that a quantizer has added.

    Attributes:
        anneal: updates before the change, >= 0.
    """

    anneal: int

    def count_updates(self, anneal: int) -> None:
        """Begin to count, after the construction of `Algorithm`."""
        self.anneal = anneal
        self.start_counting()

    @property
    def late(self) -> bool:
        """Say whether the update that has begun comes after the change."""
        return self.now > self.anneal

    def begin_step(self) -> None:
        """Count the update; clear the moments where the loss changes."""
        if self.now == self.anneal != 0:
            self.reset_optimizer()
        super().begin_step()


class AnnealedPenalty(Annealed):
    """It minimises risk + weight * penalty; the weight is ``early`` for ``anneal`` updates, then ``weight``.

    The IRM paper's script divides the loss by a weight above 1 instead, which
    to an Adam with fresh moments is the same.

    Args:
        weight: of the penalty after the jump, >= 0.
        anneal: updates before the jump, >= 0.
    """

    early: ClassVar[float] = 1.0

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
        self.weight = weight
        self.count_updates(anneal)

    @property
    def present_weight(self) -> float:
        """The weight in the update that has begun."""
        return self.weight if self.late else self.early

    def total(self, risk: Tensor, penalty: Tensor) -> dict[str, Tensor]:
        """Return the terms, with the loss put together."""
        return {"loss": risk + self.present_weight * penalty, "risk": risk, "penalty": penalty}
