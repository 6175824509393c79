r"""SQWA: the mean of quantized models that a cyclic learning rate visits, quantized again and trained on for a while.

    phase A, cycles:  rate falls from the protocol's to ``floor`` of it within each cycle; the end of a cycle is captured
    phase B, once:    w <- mean of the last K captures of Q(w) (``mode=quantized``) or of w (``latent``); moments cleared
    phase C, tail:    training at the lowest rate; the steps in all are those of every other method

Q(w) is dequantized: a scale that moved between two captures is in it. Other parameters, learned scales among them, are
averaged as they are; what happens to ranges then is the quantizer's own policy (``averaged=recalibrate`` starts them anew).
K models on M equidistant levels of one scale have means on K (M - 1) + 1 levels, so that rounding again is part of the
method: seven ternary models need 4 bits. Where nothing is quantized both modes are stochastic weight averaging (SWA).

With ``shape=triangle`` the rate also climbs as slowly as it fell, and a minimum is captured in the middle of a triangle. Cycles are
then even numbers of steps between two minima; the first one is its falling half alone, and the tail begins at the last minimum.

Sums are kept in double precision, so that the mean of equal captures is that capture, bit for bit.

Reference: Shin, Boo and Sung, "SQWA: Stochastic Quantized Weight Averaging for Improving the Generalization Capability of
Low-Precision Deep Neural Networks", ICASSP 2021; abstract and introduction read, which name the phases and an example of
seven models at 2 bits. Cycle, rates, K, the tail's length and the mode ``latent`` are our reading; the fall within a cycle
is that of Izmailov et al., UAI 2018, section 3.1, the triangle that of Garipov et al., NeurIPS 2018; which of them the paper
has could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...quantizers.spec import check_choice
from ..schedules.cyclic import Cyclic, Shape
from .base import TrainingAverage, Weights

Mode = Literal["quantized", "latent"]


class SQWA(TrainingAverage):
    """It averages the last captures of a cyclic training, quantized ones or latent ones, and trains on from the mean.

    Args:
        mode: what is averaged, ``quantized`` or ``latent`` weights.
        cycles: of the learning rate between the quantization step and the tail, >= 1.
        captures: K, 1 to ``cycles``.
        tail: share of the steps past the quantization step, from 0 to below 1.
        floor: share of the learning rate at the captures and in the tail, above 0 to 1.
        shape: of a cycle, ``fall`` or ``triangle``.
    """

    def __init__(
        self,
        *,
        mode: Mode = "quantized",
        cycles: int = 9,
        captures: int = 7,
        tail: float = 0.1,
        floor: float = 0.01,
        shape: Shape = "fall",
    ) -> None:
        check_choice("averaging.sqwa.mode", mode, Mode)
        check_choice("averaging.sqwa.shape", shape, Shape)
        if not 1 <= captures <= cycles:
            raise ConfigError(f"averaging.sqwa.captures must be 1 to cycles, {cycles}, got {captures}; write 7 of 9")
        if not 0 <= tail < 1 or not 0 < floor <= 1:
            raise ConfigError(
                f"averaging.sqwa needs tail from 0 to below 1 and floor above 0 to 1, got {tail} and {floor}; write 0.1 and 0.01"
            )
        self.quantized = mode == "quantized"
        self.cycles, self.count, self.tail, self.floor = cycles, captures, tail, floor
        self.shape: Shape = shape
        self._sum: Weights = {}
        self._steps: list[int] = []
        self._differ: list[str] = []

    def begin(self, start: int, steps: int) -> None:
        """Lay the cycles so that the last one ends where the tail begins; steps before the first have the whole rate."""
        self._end = steps - round(self.tail * (steps - start))
        self._cycle, self._first = self._laid(self._end - start)
        if self._cycle < 2:
            raise ConfigError(
                f"averaging.sqwa needs at least 2 steps a cycle, got {self.cycles} cycles in {self._end - start} steps; "
                f"write averaging.sqwa.cycles={max((self._end - start) // 2, 1)} or less, or more protocol.steps"
            )
        self._schedule = Cyclic(cycle=self._cycle, floor=self.floor, shape=self.shape)

    def _laid(self, steps: int) -> tuple[int, int]:
        """Steps of a cycle, and the first step of the first one, where the rate is whole."""
        if self.shape == "fall":
            cycle = steps // self.cycles
            return cycle, self._end - self.cycles * cycle + 1
        half = (steps - 1) // (2 * self.cycles - 1)
        return 2 * half, self._end - (2 * self.cycles - 1) * half

    def factor(self, step: int) -> float:
        """Return 1 before the first cycle, the cyclic share in cycles, ``floor`` in the tail."""
        within = step - self._first + 1
        if within < 1:
            return 1.0
        return self._schedule.factor(within, 0) if step <= self._end else self.floor

    def captures(self, step: int) -> bool:
        """Say whether one of the last K cycles ends with this step."""
        cycles, rest = divmod(self._end - step, self._cycle)
        return rest == 0 and 0 <= cycles < self.count

    def replaces(self, step: int) -> bool:
        """Say whether the last cycle ends with this step."""
        return step == self._end

    @torch.no_grad()
    def after_step(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Add a capture, and note which weights differ from those before."""
        if not self._steps:
            self._sum = {name: w.detach().double() for name, w in weights.items()}
        else:
            same = [name for name in weights if torch.equal(weights[name].double() * len(self._steps), self._sum[name])]
            self._differ = [name for name in weights if name in self._differ or name not in same]
            self._sum = {name: total + weights[name] for name, total in self._sum.items()}
        self._steps.append(step)

    def result(self) -> tuple[int, Weights]:
        """Return the mean, in double precision."""
        return self._steps[-1], {name: total / len(self._steps) for name, total in self._sum.items()}

    def report(self) -> dict[str, Any]:
        """Return the steps captured and how many of the parameters are not the same in all of them."""
        return {"captures": self._steps, "differing": len(self._differ), "parameters": len(self._sum)}

    def state(self) -> dict[str, Any]:
        """Return the sum, what is in it, and what differs."""
        return {"sum": self._sum, "steps": self._steps, "differ": self._differ}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self._sum, self._steps, self._differ = state["sum"], state["steps"], state["differ"]
