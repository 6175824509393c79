r"""SWAD: average every iterate of the loss valley, found on source validation.

Paper (Algorithm 1): with E_i the validation loss at checkpoint i, the valley starts at the first i whose E_i is the
smallest of E_i .. E_{i+N_s-1}; its limit is l = r * mean of these N_s values; it ends at i - N_e once the smallest of
the last N_e losses is above l. Never converged: everything is averaged.

Released code (khanrc/swad, MIT; "reference" here, from its description): segments before convergence get in and the
converged segment counts twice; never converged: the last segment alone.

Iterates between two checkpoints form a segment; segments have equal weight. As an observer SWAD does not stop the
training when the valley ends: the other selection rows go on.

Reference: Cha et al., "SWAD: Domain Generalization by Seeking Flat Minima", NeurIPS 2021.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from ...core.errors import ConfigError
from .base import Segment, WeightAverage, Weights, mean_of

Variant = Literal["paper", "reference"]


class SWAD(WeightAverage):
    """It averages the valley of the loss, SWAD's LossValley.

    Args:
        variant: ``paper`` (Algorithm 1) or ``reference`` (what the released code does).
        n_converge: N_s >= 1.
        n_tolerance: N_e >= 1.
        tolerance: r - 1 > 0; the paper uses 0.3, VLCS 0.2.
    """

    def __init__(
        self, *, variant: Variant = "paper", n_converge: int = 3, n_tolerance: int = 6, tolerance: float = 0.3
    ) -> None:
        if n_converge < 1 or n_tolerance < 1 or not tolerance > 0:
            raise ConfigError(
                "swad needs n_converge >= 1, n_tolerance >= 1 and tolerance > 0, got "
                f"{n_converge}, {n_tolerance} and {tolerance}; the paper uses 3, 6 and 0.3"
            )
        self._valley = (_PaperValley if variant == "paper" else _ReferenceValley)(n_converge, n_tolerance, tolerance)
        self._segment = Segment({})

    def after_step(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Add the parameters to the open segment."""
        self._segment.add(weights, step)

    def at_check(self, step: int, loss: float) -> None:
        """Close the segment and hand it to the valley."""
        self._segment.loss = loss
        self._valley.push(self._segment)
        self._segment = Segment({})

    def result(self) -> tuple[int, Weights]:
        """Return the valley's average."""
        return self._valley.result()

    def state(self) -> dict[str, Any]:
        """Return the open segment and everything the valley holds."""
        return {"segment": self._segment, "valley": dict(vars(self._valley))}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self._segment = state["segment"]
        vars(self._valley).update(state["valley"])


class _PaperValley:
    def __init__(self, n_converge: int, n_tolerance: int, tolerance: float) -> None:
        self.n_converge, self.n_tolerance, self.tolerance = n_converge, n_tolerance, tolerance
        self.recent: deque[Segment] = deque(maxlen=n_converge)
        self.everything = Segment({})
        self.valley: Segment | None = None
        self.pending: deque[Segment] = deque()
        self.limit = 0.0
        self.ended = False

    def push(self, segment: Segment) -> None:
        """Take the next segment with its validation loss."""
        if self.ended:
            return
        if self.valley is None:
            self.everything.add(segment.mean, segment.step)
            self.recent.append(segment)
            losses = [s.loss for s in self.recent]
            if len(losses) == self.n_converge and losses[0] == min(losses):
                self.limit = (1 + self.tolerance) * sum(losses) / self.n_converge
                self.valley, self.pending = Segment({}), deque(self.recent)
            return
        self.pending.append(segment)
        newest = list(self.pending)[-self.n_tolerance :]
        if len(newest) == self.n_tolerance and min(s.loss for s in newest) > self.limit:
            self._settle(len(self.pending) - self.n_tolerance)
            self.ended = True
        else:
            self._settle(len(self.pending) - self.n_tolerance + 1)

    def _settle(self, count: int) -> None:
        assert self.valley is not None
        for _ in range(count):
            segment = self.pending.popleft()
            self.valley.add(segment.mean, segment.step)

    def result(self) -> tuple[int, Weights]:
        """Return the average of the valley."""
        if self.valley is None:
            return self.everything.step, self.everything.mean
        if not self.ended:
            self._settle(len(self.pending))
        return self.valley.step, self.valley.mean


class _ReferenceValley:
    def __init__(self, n_converge: int, n_tolerance: int, tolerance: float) -> None:
        self.n_converge, self.n_tolerance, self.tolerance = n_converge, n_tolerance, tolerance
        self.converge: deque[Segment] = deque(maxlen=n_converge)
        self.smooth: deque[Segment] = deque(maxlen=n_tolerance)
        self.final: Segment | None = None
        self.converge_step = 0
        self.limit = 0.0
        self.dead = False

    def push(self, segment: Segment) -> None:
        """Take the next segment with its validation loss."""
        if self.dead:
            return
        self.converge.append(segment)
        self.smooth.append(segment)
        if self.final is None:
            losses = [s.loss for s in self.converge]
            if len(losses) == self.n_converge and losses[0] == min(losses):
                self._converged(losses)
        elif self.smooth[0].step >= self.converge_step:
            self.dead = self._too_high()
            if not self.dead:
                self.final.add(self.smooth[0].mean, self.smooth[0].step)

    def _converged(self, losses: list[float]) -> None:
        first = self.converge[0]
        self.converge_step = first.step
        self.final = Segment(first.mean, 0, first.step)
        self.limit = (1 + self.tolerance) * sum(losses) / len(losses)
        if self.n_tolerance > self.n_converge:
            head = list(self.smooth)[: self.n_tolerance - self.n_converge + 1]
            above = [i for i, s in enumerate(head) if s.loss > self.limit]
            earlier = head[(above[-1] + 1 if above else 0) + 1 :]
        else:
            earlier = list(self.converge)[1 : 1 + self.n_converge - self.n_tolerance]
        for segment in earlier:
            self.final.add(segment.mean, segment.step)

    def _too_high(self) -> bool:
        return min(s.loss for s in self.smooth) > self.limit

    def result(self) -> tuple[int, Weights]:
        """Return the average of the valley."""
        if self.final is None:
            last = self.converge[-1]
            return last.step, mean_of([last])
        if not self.dead:
            self.smooth.popleft()
            while self.smooth and not self._too_high():
                segment = self.smooth.popleft()
                self.final.add(segment.mean, segment.step)
        return self.final.step, self.final.mean
