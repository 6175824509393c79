r"""A cyclic learning rate: a linear fall in each cycle, and back up at once or as slowly.

    shape=fall:      factor(t) = (1 - a) + a floor,   a = ((t - 1) mod c) / (c - 1),   t = 1, 2, ...
    shape=triangle:  factor(t) = (1 - a) + a floor,   a = 1 - |1 - 2 u|,   u = ((t - 1) mod c) / c

A fall has the floor in the last step of each cycle of c steps, where stochastic weight averaging captures; a triangle in the
middle, in step c / 2 + 1, where fast geometric ensembling captures, and the whole rate at the ends.

References: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, section 3.1
(there t(i) = (mod(i - 1, c) + 1) / c, which never has the whole rate; ours starts a cycle with it); Garipov et al., "Loss
Surfaces, Mode Connectivity, and Fast Ensembling of DNNs", NeurIPS 2018, section 4, for the triangle.
"""

from __future__ import annotations

from typing import Literal

from ...core.errors import ConfigError
from ...quantizers.spec import check_choice
from .base import Schedule

Shape = Literal["fall", "triangle"]


class Cyclic(Schedule):
    """It falls linearly from the whole learning rate to a share of it, again and again.

    Args:
        cycle: steps of a cycle, at least 2; even for a triangle, which has no middle otherwise.
        floor: lowest share in each cycle, above 0 and at most 1.
        shape: ``fall``, then back up at once, or ``triangle``, up as slowly as down.
    """

    def __init__(self, *, cycle: int = 100, floor: float = 0.01, shape: Shape = "fall") -> None:
        if cycle < 2:
            raise ConfigError(f"schedule.cycle must be at least 2 steps, got {cycle}; write schedule.cycle=100")
        if not 0 < floor <= 1:
            raise ConfigError(f"schedule.floor must be above 0 and at most 1, got {floor}; write schedule.floor=0.01")
        check_choice("schedule.shape", shape, Shape)
        if shape == "triangle" and cycle % 2:
            raise ConfigError(
                f"schedule.cycle must be even with shape=triangle, got {cycle}; write schedule.cycle={cycle + 1}"
            )
        self.cycle, self.floor = cycle, floor
        self.shape: Shape = shape

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate at ``step``; ``steps`` is not looked at."""
        done = (step - 1) % self.cycle
        through = done / (self.cycle - 1) if self.shape == "fall" else 1 - abs(1 - 2 * done / self.cycle)
        return 1 - through + through * self.floor
