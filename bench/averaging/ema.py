r"""EMA: an exponential moving average of the iterates.

    theta_bar <- a * theta_bar + (1 - a) * theta,   starting at the first iterate observed

Policy: parameters only, as for every average here; BatchNorm statistics stay those of the last step.

Reference: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992,
in its exponential form; a = 0.999 is usual.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.errors import ConfigError
from .base import WeightAverage, Weights


class EMA(WeightAverage):
    """It keeps the exponential average.

    Args:
        decay: a, from 0 (the latest iterate) to below 1.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"averaging.ema.decay must be at least 0 and below 1, got {decay}; 0.999 is usual")
        self.decay = decay
        self._step = 0
        self._mean: Weights = {}

    @torch.no_grad()
    def after_step(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Move the average towards the parameters."""
        self._step = step
        if not self._mean:
            self._mean = {name: w.detach().clone() for name, w in weights.items()}
        else:
            torch._foreach_lerp_(list(self._mean.values()), [weights[n] for n in self._mean], 1 - self.decay)  # pyright: ignore[reportPrivateImportUsage]

    def at_check(self, step: int, loss: float) -> None:
        """Do nothing: the average does not depend on validation."""

    def result(self) -> tuple[int, Weights]:
        """Return the average."""
        return self._step, self._mean
