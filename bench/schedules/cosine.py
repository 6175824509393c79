r"""Cosine annealing without restarts.

    factor(t) = floor + (1 - floor) (1 + cos(pi (t - 1) / T)) / 2,   t = 1 .. T

The first step has the whole learning rate; step T + 1, which is never taken, would have the floor.

Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5.
"""

from __future__ import annotations

import math

from ...core.errors import ConfigError
from .base import Schedule


class Cosine(Schedule):
    """It falls from the whole learning rate to a share of it along half a cosine.

    Args:
        floor: share at the end, 0 to 1.
    """

    def __init__(self, *, floor: float = 0.0) -> None:
        if not 0 <= floor <= 1:
            raise ConfigError(f"schedule.floor must lie between 0 and 1, got {floor}; write schedule.floor=0")
        self.floor = floor

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate at ``step`` of ``steps``."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
