"""Networks as objectives: which weights are the point, and what stands where the quantizers were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ...quantizers.export import ActQuant, SiteExport
from .objective import Objective

Batches = Sequence[tuple[Tensor, Tensor]]


def float_names(network: nn.Module) -> list[str]:
    """Return names of the floating-point parameters, in module order."""
    return [name for name, p in network.named_parameters() if p.is_floating_point()]


def deployed_state(prepared: Mapping[str, Tensor], sites: Mapping[str, SiteExport]) -> dict[str, Tensor]:
    """Return a prepared network's state with the dequantized weights in the place of the latent ones."""
    return {**prepared, **{site.key(name): site.weight.dequantize() for name, site in sites.items()}}


@contextmanager
def activation_grids(
    network: nn.Module, inputs: Mapping[str, ActQuant], outputs: Mapping[str, ActQuant], rounding: bool
) -> Iterator[None]:
    """Clip what modules read (``inputs``) or return (``outputs``) to the grid's range in this context, and round if asked.

    Derivatives are taken without rounding: through it they are 0 almost everywhere, and a straight-through estimate
    is no geometry of the loss.
    """
    hooks = [network.get_submodule(n).register_forward_pre_hook(_quantize(g, rounding)) for n, g in inputs.items()]
    hooks += [network.get_submodule(n).register_forward_hook(_quantize_output(g, rounding)) for n, g in outputs.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _onto(grid: ActQuant, x: Tensor, rounding: bool) -> Tensor:
    low, high = grid.qmin - grid.zero_point, grid.qmax - grid.zero_point
    return grid.quantize(x) if rounding else (x / grid.scale).clamp(low, high) * grid.scale


def _quantize(grid: ActQuant, rounding: bool) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor]]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        (x,) = inputs
        return (_onto(grid, x, rounding),)

    return hook


def _quantize_output(grid: ActQuant, rounding: bool) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    return lambda _, inputs, output: _onto(grid, output, rounding)


class Unflatten:
    """This turns a flat vector (n,) into named parameters; a plain class, so that it pickles."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        found = dict(network.named_parameters())
        self.names, self.shapes = list(names), [found[n].shape for n in names]
        self.sizes = [found[n].numel() for n in names]

    def __call__(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the parameters in ``flat`` by name."""
        parts = torch.split(flat, self.sizes)
        return {n: p.reshape(s) for n, p, s in zip(self.names, parts, self.shapes, strict=True)}


def point_of(network: nn.Module, names: Sequence[str]) -> Tensor:
    """Return the named parameters as one vector (n,), a copy."""
    found = dict(network.named_parameters())
    return torch.cat([found[n].detach().reshape(-1) for n in names])


def _loss(network: nn.Module, unflatten: Unflatten, x: Tensor, y: Tensor, flat: Tensor) -> Tensor:
    return F.cross_entropy(functional_call(network, unflatten(flat), (x,)), y)


def objective(network: nn.Module, names: Sequence[str], domains: Sequence[Batches], chunk: int = 1) -> Objective:
    """Return the mean over domains of the mean cross-entropy, as a function of the named parameters.

    Args:
        network: in eval mode; its other parameters and buffers stay as they are.
        names: of the parameters that vary.
        domains: of each domain, batches of images and labels.
        chunk: as for `Objective`.
    """
    unflatten = Unflatten(network, names)
    terms: list[tuple[float, Any]] = []
    for batches in domains:
        count = sum(len(y) for _, y in batches)
        for x, y in batches:
            terms.append((len(y) / count / len(domains), partial(_loss, network, unflatten, x, y)))
    return Objective(point_of(network, names), tuple(terms), chunk)


def logits_of_one(network: nn.Module, params: dict[str, Tensor], image: Tensor) -> Tensor:
    """Return logits (classes,) of one image (C, H, W)."""
    out: Tensor = functional_call(network, params, (image[None],))[0]
    return out
