r"""Gradient l1: a small l1 norm of the gradient, for weights that bear rounding to any width.

    L + lam ||grad L||_1 is descended by (1 - lam / r) g + (lam / r) g',   g' = grad L(w + r sign(g))

since grad ||g||_1 = H sign(g) = (g' - g) / r + O(r): exact for quadratics, two passes a step and no double backward.
``form=double_backward`` differentiates ||g||_1 itself, as the paper does: one pass, about two to three times the time and
twice the memory, and a quantizer that can be differentiated twice. Behind a fake quantizer that is the second derivative
of its straight-through surrogate, while g' goes through the rounding.

r ||g||_1 is, to first order, the most that a perturbation of at most r in each weight can add to the loss, and rounding is
such a perturbation. ``bits`` sets r by layer to half the scale of that width, max|w| / (2^bits - 1); lam is weight * r,
so that weight 1 is SAM with a box for a ball.

Only weights of two and more dimensions are penalised, as only these are quantized. ``activations`` adds the term on layer
activations, r_y sum ||dL/dx||_1 over the inputs x of all convolutions and linear layers and all images of a batch: L is a
mean, so that the sum over images is the mean of theirs, and is not divided again. In two passes g' is then also behind
x + r_y sign(dL/dx). Our reading: inputs stand for the paper's activations, since these are what is quantized here; an input that
nothing trained comes before, such as the image, has no term; nor has a weight that is read without a call of its layer.

Reference: Alizadeh et al., "Gradient l1 Regularization for Quantization Robustness", ICLR 2020; its abstract says what is
penalised, its lam and schedule could not be read; that activations have a term of their own is from a reproduction's text. The form without double backward and r by width are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...quantizers.spec import check_choice
from .base import Gradients, Terms, Trained
from .two_pass import TwoPass, moved, perturbable, weights_of

Form = Literal["finite_difference", "double_backward"]
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class GradientL1(TwoPass):
    """It is the l1 penalty on the gradient around the protocol's optimizer.

    Args:
        radius: r, > 0, where ``bits`` is not given.
        bits: width whose half scale is r, layer by layer, 2 to 8; null: ``radius``.
        weight: lam / r, from 0 (the plain step) to 1, the share of the second gradient; 1 is lam = r.
        activations: r_y, >= 0, of the inputs of layers, in units of these; 0 leaves them out. Its lam is weight * r_y.
        form: of the penalty's gradient, ``finite_difference`` or ``double_backward``; they differ by O(r).
    """

    def __init__(
        self,
        *,
        radius: float = 1e-3,
        bits: int | None = None,
        weight: float = 1.0,
        activations: float = 0.0,
        form: Form = "finite_difference",
    ) -> None:
        if not radius > 0 or not 0 <= weight <= 1:
            raise ConfigError(
                f"step_rule.radius must be above 0 and weight from 0 to 1, got {radius} and {weight}; write 0.001 and 1"
            )
        if bits is not None and not 2 <= bits <= 8:
            raise ConfigError(f"step_rule.bits must be null or from 2 to 8, got {bits}; write the width to deploy")
        if not 0 <= activations < math.inf:
            raise ConfigError(
                f"step_rule.activations must be at least 0, got {activations}; write the radius around layers' inputs, or 0"
            )
        check_choice("step_rule.form", form, Form)
        self.radius, self.bits, self.activations = radius, bits, activations
        self._seen: list[Tensor | None] = []
        self.first, self.second = 1 - weight, weight
        self.double_backward = form == "double_backward"

    def _radius(self, weight: nn.Parameter) -> Tensor | float:
        return self.radius if self.bits is None else weight.detach().abs().max() / (2**self.bits - 1)

    def look(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make the first pass, and note the gradients of layers' inputs where these are penalised."""
        self._seen = []
        with self._inputs(algorithm.network, self._note):
            return gradients()

    @contextmanager
    def _inputs(self, network: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Change what goes into each layer, where inputs are penalised."""

        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            x, *others = inputs
            return (change(x), *others) if x.requires_grad and torch.is_grad_enabled() else None

        with ExitStack() as hooks:
            for layer in network.modules() if self.activations else ():
                if isinstance(layer, LAYERS):
                    hooks.callback(layer.register_forward_pre_hook(hook).remove)
            yield

    def _note(self, x: Tensor) -> Tensor:
        own, place = x.view_as(x), len(self._seen)  # a layer's own, though others read x too
        self._seen.append(None)
        own.register_hook(lambda grad: self._seen.__setitem__(place, grad.detach()))  # type: ignore[no-untyped-call]
        return own

    @contextmanager
    def perturbed(self, algorithm: Trained) -> Iterator[None]:
        """Move every weight, and every input where these are penalised, along the sign of its gradient."""
        weights = [w for w in perturbable(algorithm.optimizer) if w.dim() > 1]
        by = [self._radius(w) * torch.sign(w.grad) for w in weights if w.grad is not None]
        seen = iter(self._seen)

        def push(x: Tensor) -> Tensor:
            grad = next(seen)
            return x if grad is None else x + self.activations * torch.sign(grad)

        with moved(weights, by), self._inputs(algorithm.network, push):
            yield
        self._seen = []

    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make two passes, or one with the penalty in its loss, then the optimizer's step."""
        if not self.double_backward:
            return super().step(algorithm, gradients)
        own = {id(w) for w in weights_of(algorithm.optimizer) if w.dim() > 1}
        inputs: list[Tensor] = []

        def keep(x: Tensor) -> Tensor:
            inputs.append(x.view_as(x))
            return inputs[-1]

        with self._inputs(algorithm.network, keep):
            terms = gradients(lambda loss, moving: self._penalty(loss, [w for w in moving if id(w) in own], inputs))
        algorithm.optimizer.step()
        return terms

    def _penalty(self, loss: Tensor, weights: Sequence[nn.Parameter], inputs: Sequence[Tensor]) -> Tensor:
        if not weights:
            return loss.new_zeros(())
        found = torch.autograd.grad(loss, [*weights, *inputs], create_graph=True, allow_unused=True)
        radii = [*map(self._radius, weights), *[self.activations] * len(inputs)]
        pairs = [(r, g) for r, g in zip(radii, found, strict=True) if g is not None]
        if not any(g.requires_grad for _, g in pairs):
            raise ConfigError(
                "step_rule.form=double_backward needs a loss whose gradient depends on the weights, but that of this "
                "algorithm is given as numbers (MLDG's is); write step_rule.form=finite_difference"
            )
        return self.second * torch.stack([r * g.abs().sum() for r, g in pairs]).sum()
