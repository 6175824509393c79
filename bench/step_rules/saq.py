r"""SAQ: the worst point near the *quantized* weights.

    g = dL/dw_q of all quantized weights and dL/dp of the other parameters, one norm over all
    e = rho g / (||g|| + 1e-12);   step with the gradient of L(w_q + e), straight through to w and to the scale

SAM on the latent weights moves them by e and rounds again: a small e rounds back to the same codes, so that nothing is
perturbed ("diminishment"). Here e is added after rounding (the paper's case 3). Layers left in float, biases and
BatchNorm's affine parameters are moved in place by the same factor; in a float network SAQ is SAM. rho does not carry
over from the release (0.3 to 0.4), whose layers normalise each weight tensor to unit deviation first: weights here keep
their scale, so SAM's 0.05 is the start. The quantizer's parameters are not perturbed. Costs two passes a step.

Reference: Liu, Cai and Zhuang, "SAQ: Sharpness-Aware Quantization", arXiv 2111.12273; release ziplab/SAQ (Apache-2.0)
read for the case and the norm, none of it copied. That float layers are in the ball is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...quantizers.layers import sites_of
from .base import Gradients, Terms, Trained
from .two_pass import TINY, TwoPass, moved, norm_of, perturbable


class SAQ(TwoPass):
    """It is sharpness-aware quantization around the protocol's optimizer.

    Args:
        rho: radius, > 0.
    """

    def __init__(self, *, rho: float = 0.05) -> None:
        if not rho > 0:
            raise ConfigError(f"step_rule.rho must be above 0, got {rho}; write for example rho=0.05")
        self.rho = rho
        self._seen: dict[nn.Module, Tensor] = {}

    def look(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make the first pass and note the gradient of every quantized weight."""
        self._seen = {}
        with ExitStack() as hooks:
            for quant in _weight_quants(algorithm.network):
                hooks.callback(quant.register_forward_hook(self._note).remove)
            return gradients()

    def _note(self, quant: nn.Module, _: object, out: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():
            return None
        seen = (
            out if out.requires_grad else out.detach().requires_grad_()
        )  # frozen weights have a gradient all the same
        seen.register_hook(lambda grad: self._add(quant, grad))  # type: ignore[no-untyped-call]
        return seen

    def _add(self, quant: nn.Module, grad: Tensor) -> None:
        self._seen[quant] = self._seen[quant] + grad if quant in self._seen else grad.detach().clone()

    @contextmanager
    def perturbed(self, algorithm: Trained) -> Iterator[None]:
        """Add e to what the weights' fake quantizers return, and to the float parameters in place."""
        latent = {id(site.latent) for _, site in sites_of(algorithm.network)}
        floats = [p for p in perturbable(algorithm.optimizer) if id(p) not in latent]
        grads = [p.grad for p in floats if p.grad is not None]
        factor = self.rho / (norm_of([*grads, *self._seen.values()]) + TINY)
        with ExitStack() as stack:
            for quant, grad in self._seen.items():
                stack.callback(quant.register_forward_hook(_adder(factor * grad)).remove)
            stack.enter_context(moved(floats, [g * factor for g in grads]))
            yield
        self._seen = {}


def _adder(e: Tensor) -> Callable[[nn.Module, object, Tensor], Tensor]:
    return lambda _module, _inputs, out: out + e


def _weight_quants(network: nn.Module) -> list[nn.Module]:
    """The fake quantizers of weights, each once: tied layers share one."""
    return list(dict.fromkeys(site.weight_quant for _, site in sites_of(network)))
