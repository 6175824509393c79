r"""Two passes a step: gradients at the weights, then at a perturbed point; the common part of SAM and its relatives.

    g = grad L(w),   g' = grad L(w + e),   step with  first g + second g'

Both passes see the same function: dropout and feature mixing draw the same numbers (torch's generators are rewound) and
an algorithm's own buffers start from the same values. Only the first pass moves BatchNorm statistics, quantizer ranges
and those buffers. A rule says what is perturbed, by how much, and how the two gradients are mixed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from .base import Gradients, StepRule, Terms, Trained, assign, unobserved

TINY = 1e-12


class TwoPass(StepRule):
    """A rule of two passes.

    Attributes:
        first: share of the gradient at the weights in the step.
        second: share of the gradient at the perturbed point.
    """

    first: float = 0.0
    second: float = 1.0

    @abstractmethod
    def perturbed(self, algorithm: Trained) -> AbstractContextManager[None]:
        """Move the network within the context, by the gradients that are there; afterwards it is as before, bit for bit."""

    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make two passes, then the optimizer's step from the weights before them."""
        own = _own_buffers(algorithm)
        before = [b.clone() for b in own]
        generators = _generators(algorithm)
        terms = self.look(algorithm, gradients)
        after = [b.clone() for b in own]
        kept = self._kept(algorithm)
        with _rewound(generators), unobserved(algorithm.network), self.perturbed(algorithm):
            assign(own, before)
            gradients()
        assign(own, after)
        self.mix(kept)
        algorithm.optimizer.step()
        return terms

    def look(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make the first pass; a rule that needs more than the parameters' gradients notes it here."""
        return gradients()

    def _kept(self, algorithm: Trained) -> list[tuple[nn.Parameter, Tensor]]:
        if not self.first:
            return []
        return [(p, p.grad.clone()) for p in algorithm.parameters() if p.grad is not None]

    @torch.no_grad()
    def mix(self, kept: list[tuple[nn.Parameter, Tensor]]) -> None:
        """Add the gradients of the first pass, ``kept``, to those that are there, each with its share."""
        for p, grad in kept:
            p.grad = self.first * grad if p.grad is None else p.grad.mul_(self.second).add_(grad, alpha=self.first)


def perturbable(optimizer: torch.optim.Optimizer, quantizer_too: bool = False) -> list[nn.Parameter]:
    """Return the parameters with a gradient, without the quantizer's unless asked for."""
    return [p for p in weights_of(optimizer, quantizer_too) if p.grad is not None]


def weights_of(optimizer: torch.optim.Optimizer, quantizer_too: bool = False) -> list[nn.Parameter]:
    """Return the parameters, without the quantizer's unless asked for."""
    groups = [g for g in optimizer.param_groups if quantizer_too or not g.get("quantizer", False)]
    return [p for g in groups for p in g["params"]]


def norm_of(grads: list[Tensor]) -> Tensor:
    """Compute the Euclidean norm over all tensors together."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
    return norm


@contextmanager
def moved(weights: list[nn.Parameter], by: list[Tensor]) -> Iterator[None]:
    """Add to the weights within; afterwards the saved bits, since adding and subtracting need not return."""
    saved = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for w, e in zip(weights, by, strict=True):
            w.add_(e)
    try:
        yield
    finally:
        assign(weights, saved)


def _own_buffers(algorithm: Trained) -> list[Tensor]:
    network = {id(b) for b in algorithm.network.buffers()}
    return [b for b in algorithm.buffers() if id(b) not in network]


Generators = list[tuple[torch.Generator, Tensor]]


def _generators(algorithm: Trained) -> Generators:
    """Torch's global generators that this algorithm's passes may draw from, with their states."""
    found = [torch.default_generator]
    device = next(algorithm.parameters()).device
    if device.type == "cuda":
        found.append(torch.cuda.default_generators[device.index or 0])
    return [(g, g.get_state()) for g in found]


@contextmanager
def _rewound(generators: Generators) -> Iterator[None]:
    for generator, state in generators:
        generator.set_state(state)
    yield
