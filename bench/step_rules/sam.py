r"""SAM: step with the gradient at the worst point nearby.

    e = rho * g / (||g|| + 1e-12),   g = grad L(w);   w <- optimizer(w, grad L(w + e))

The norm is over all perturbed parameters together. Both passes see the same function: dropout and feature mixing draw
the same numbers (torch's generators are rewound) and an algorithm's own buffers start from the same values. Only the
first pass moves BatchNorm statistics, quantizer ranges and those buffers.

Quantizer parameters (groups marked by `Algorithm.add_quantizer_group`) are not perturbed unless asked: a step of rho
along them would move the grid instead of the weights. They train with the second gradient like all others.
Costs two forward and backward passes a step.

Reference: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from .base import StepRule, Terms, Trained, assign, unobserved

_TINY = 1e-12


class SAM(StepRule):
    """It is sharpness-aware minimisation around the protocol's optimizer.

    Args:
        rho: radius, > 0; 0.05 is the paper's.
        perturb_quantizer: whether the quantizer's parameters are part of w in ``w + e``.
    """

    def __init__(self, *, rho: float = 0.05, perturb_quantizer: bool = False) -> None:
        if not rho > 0:
            raise ConfigError(f"step_rule.rho must be above 0, got {rho}; the paper uses 0.05")
        self.rho = rho
        self.perturb_quantizer = perturb_quantizer

    def step(self, algorithm: Trained, gradients: Callable[[], Terms]) -> Terms:
        """Make two passes, then the optimizer's step from the weights before them."""
        own = _own_buffers(algorithm)
        before = [b.clone() for b in own]
        generators = _generators(algorithm)
        terms = gradients()
        after = [b.clone() for b in own]
        with _rewound(generators), unobserved(algorithm.network), self._perturbed(algorithm.optimizer):
            assign(own, before)
            gradients()
        assign(own, after)
        algorithm.optimizer.step()
        return terms

    @contextmanager
    def _perturbed(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Weights moved by e within; afterwards the saved bits, since adding and subtracting e need not return."""
        groups = [g for g in optimizer.param_groups if self.perturb_quantizer or not g.get("quantizer", False)]
        weights: list[nn.Parameter] = [p for g in groups for p in g["params"] if p.grad is not None]
        saved = [w.detach().clone() for w in weights]
        grads = [w.grad for w in weights if w.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
        with torch.no_grad():
            for w, g in zip(weights, grads, strict=True):
                w.add_(g * (self.rho / (norm + _TINY)))
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
