"""The step-rule interface and the plain rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ...core.ranges import Ranges
from ...quantizers.fake_quant import frozen_ranges

Terms = dict[str, Tensor]
"""Scalars by name; ``loss`` is what is minimised."""
Extra = Callable[[Tensor, Sequence[nn.Parameter]], Tensor]
"""From the loss, before its backward, and the parameters that move, to a scalar that is added to it."""


class Gradients(Protocol):
    """One pass at the present weights; a rule may make several."""

    def __call__(self, extra: Extra | None = None) -> Terms:
        """Clear the gradients, run forward and backward; return the terms, without ``extra``."""
        ...


class Trained(Protocol):
    """A step rule may touch this much of an algorithm."""

    optimizer: torch.optim.Optimizer

    @property
    def network(self) -> nn.Module:
        """The network inside the algorithm."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all parameters, the quantizer's included."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """Return all buffers, the network's included."""
        ...


class StepRule(ABC):
    """A rule turns gradients into one step of ``algorithm.optimizer``.

    One that has to remember something is an `nn.Module` as well: its buffers are part of the checkpoint.

    Attributes:
        double_backward: whether it differentiates a gradient of the network, which some quantizers cannot.
        ranges: of the settings that a search sets, by name; a part of the class.
    """

    double_backward: bool = False
    ranges: ClassVar[Ranges] = {}

    @abstractmethod
    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Take one step.

        Args:
            algorithm: whose optimizer steps.
            gradients: clears the gradients, runs forward and backward at the present weights, returns the terms.

        Returns:
            The terms at the weights before the step.
        """

    def report(self) -> dict[str, Any]:
        """Return what the record says of the whole training: numbers and texts; empty where there is nothing."""
        return {}


class Plain(StepRule):
    """It makes one pass, then the optimizer's step."""

    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Compute gradients, take the optimizer's step."""
        terms = gradients()
        algorithm.optimizer.step()
        return terms


@torch.no_grad()
def assign(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy values pairwise, in place."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


@contextmanager
def unobserved(network: nn.Module) -> Iterator[None]:
    """Hide training forwards inside this context: quantizer ranges hold, BatchNorm statistics are put back."""
    buffers = list(network.buffers())
    before = [b.clone() for b in buffers]
    try:
        with frozen_ranges(network):
            yield
    finally:
        assign(buffers, before)
