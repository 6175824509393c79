r"""A cyclic learning rate: a linear fall in each cycle, then back up at once.

    factor(t) = (1 - a) + a floor,   a = ((t - 1) mod c) / (c - 1),   t = 1, 2, ...

so that the last step of each cycle of c steps has the floor, where stochastic weight averaging captures.

Reference: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, section 3.1
(there t(i) = (mod(i - 1, c) + 1) / c, which never has the whole rate; ours starts a cycle with it).
"""

from __future__ import annotations

from ...core.errors import ConfigError
from .base import Schedule


class Cyclic(Schedule):
    """It falls linearly from the whole learning rate to a share of it, again and again.

    Args:
        cycle: steps of a cycle, at least 2.
        floor: share at the end of each cycle, above 0 and at most 1.
    """

    def __init__(self, *, cycle: int = 100, floor: float = 0.01) -> None:
        if cycle < 2:
            raise ConfigError(f"schedule.cycle must be at least 2 steps, got {cycle}; write schedule.cycle=100")
        if not 0 < floor <= 1:
            raise ConfigError(f"schedule.floor must be above 0 and at most 1, got {floor}; write schedule.floor=0.01")
        self.cycle, self.floor = cycle, floor

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate at ``step``; ``steps`` is not looked at."""
        through = ((step - 1) % self.cycle) / (self.cycle - 1)
        return 1 - through + through * self.floor
