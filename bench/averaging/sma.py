r"""SMA (simple moving average): the mean of all iterates from an early step on.

    theta_bar <- theta_bar + (theta - theta_bar) / (c + 1),   c = iterates in the mean so far

Policy: parameters only, as for every average here. The published code also averages BatchNorm statistics, which makes
a difference only where they still move; after the quantization step they never do. It selects a checkpoint by the
average's own source validation, here the row is the average at the end. Before ``start`` the average is the
latest iterate.

Reference: Arpit et al., "Ensemble of Averages", NeurIPS 2022 (salesforce/ensemble-of-averages, whose mean also holds
the iterate before ``start``).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...core.errors import ConfigError
from .base import Segment, WeightAverage, Weights


class SMA(WeightAverage):
    """It keeps the running mean.

    Args:
        start: number of the first observed step in the mean, >= 1; the paper uses 100.
    """

    def __init__(self, *, start: int = 100) -> None:
        if start < 1:
            raise ConfigError(f"averaging.sma.start must be at least 1, got {start}; the paper uses 100")
        self.start = start
        self._seen = 0
        self._mean = Segment({})

    def after_step(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Add the parameters to the mean, or replace it before the start."""
        self._seen += 1
        if self._seen <= self.start:
            self._mean.count = 0
        self._mean.add(weights, step)

    def at_check(self, step: int, loss: float) -> None:
        """Do nothing: the mean does not depend on validation."""

    def result(self) -> tuple[int, Weights]:
        """Return the mean."""
        return self._mean.step, self._mean.mean
