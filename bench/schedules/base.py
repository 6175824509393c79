"""The schedule interface and the constant schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Schedule(ABC):
    """A schedule says by which factor every learning rate is multiplied at a step, the quantizer's included."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the learning rates, above 0.

        Args:
            step: that comes next, 1 to ``steps``, counted from the start of the float phase.
            steps: of the whole protocol.
        """


class Constant(Schedule):
    """It leaves every learning rate as it is."""

    def factor(self, step: int, steps: int) -> float:
        """Return 1."""
        return 1.0
