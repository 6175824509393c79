"""The float network that a packed file describes, and what last bits may change in it.

A value of a layer's input, or of a quantized output, in the middle between two codes goes up or down by its last bit, and with it everything
behind it. What that amounts to on some images is measured: with every input moved a little, up or down, before it is
rounded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import RecordError, one_line
from ...quantizers.export import ActQuant, OutputExport, SiteExport
from ...quantizers.insertion import leave_fast_path

RELATIVE_LIMIT = 1e-4
"""Sums in another order move logits by less than this share of the largest."""
NOISE_FACTOR = 2.0

Rounding = Callable[[ActQuant, Tensor], Tensor]


class _Grid:
    """A hook that rounds to a grid, as `ActQuant` says; for evaluation only.

    Args:
        act: the grid.

    Attributes:
        rounding: applies it.
    """

    def __init__(self, act: ActQuant) -> None:
        self.act = act
        self.rounding: Rounding = ActQuant.quantize


class InputGrid(_Grid):
    """A forward pre-hook that rounds a layer's input."""

    def attach(self, layer: nn.Module) -> None:
        """Round the first argument of every call of ``layer`` from now on."""
        layer.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The layer's arguments with the first one rounded."""
        if args:
            return (self.rounding(self.act, args[0]), *args[1:]), kwargs
        name = next(iter(kwargs))
        return args, {**kwargs, name: self.rounding(self.act, kwargs[name])}


class OutputGrid(_Grid):
    """A forward hook that rounds what a module returns."""

    def attach(self, module: nn.Module) -> None:
        """Round what every call of ``module`` returns from now on."""
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        """The module's output rounded."""
        return self.rounding(self.act, output)


def load_float(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of the network with these float weights, in eval mode; RecordError where they do not fit."""
    out = copy.deepcopy(network)
    leave_fast_path(out)
    try:
        out.load_state_dict(state)
    except RuntimeError as error:
        reason = one_line(error, kind=False)
        raise RecordError(f"the stored weights must fit the network, but they do not: {reason}") from error
    return out.eval().requires_grad_(False)


def own_inputs(sites: Mapping[str, SiteExport], outputs: Mapping[str, OutputExport]) -> dict[str, ActQuant]:
    """Return the grids of the inputs that no quantized output has rounded already, by the layer's module."""
    rounded = {name for output in outputs.values() for name in output.readers}
    return {s.module(name): s.act for name, s in sites.items() if s.act is not None and name not in rounded}


class Twin:
    """A twin is a float network with dequantized weights that rounds inputs of its layers, and outputs, to their grids.

    Args:
        network: of the architecture, float; copied.
        state: float weights by state-dict name, as from `PackedModel.state`.
        sites: the quantized layers.
        outputs: the quantized outputs, by module; the layers that read one do not round again.

    Attributes:
        network: in eval mode.
        grids: by name of the layer's module, of those whose inputs are rounded.
        output_grids: by name of the module whose output is rounded.

    Raises:
        RecordError: weights of another network.
    """

    def __init__(
        self,
        network: nn.Module,
        state: Mapping[str, Tensor],
        sites: Mapping[str, SiteExport],
        outputs: Mapping[str, OutputExport] | None = None,
    ) -> None:
        self.network = load_float(network, state)
        self.grids = {name: InputGrid(act) for name, act in own_inputs(sites, outputs or {}).items()}
        self.output_grids = {name: OutputGrid(output.act) for name, output in (outputs or {}).items()}
        self._all: list[tuple[str, InputGrid | OutputGrid]] = [*self.grids.items(), *self.output_grids.items()]
        for name, grid in self._all:
            grid.attach(self.network.get_submodule(name))

    @torch.no_grad()
    def logits(self, x: Tensor, rounding: Rounding = ActQuant.quantize) -> Tensor:
        """Compute logits (N, classes) of images (N, C, H, W), with inputs and outputs rounded by ``rounding``."""
        for _, grid in self._all:
            grid.rounding = rounding
        out: Tensor = self.network(x)
        return out

    def limit(self, x: Tensor) -> float:
        """Return how far the logits of an equal network may be from `logits` on these images.

        This is twice the largest effect of last bits before a rounding, and at least 1e-4 of the largest logit.
        """
        base = self.logits(x)
        noise = [largest_difference(base, self.logits(x, nudged)) for nudged in NUDGES] if self._all else [0.0]
        return max(RELATIVE_LIMIT * float(base.abs().max()), NOISE_FACTOR * max(noise))


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Return the largest |a - b|."""
    return float((a - b).abs().max())


def _up(act: ActQuant, x: Tensor) -> Tensor:
    return act.quantize(x, act.last_bits)


def _down(act: ActQuant, x: Tensor) -> Tensor:
    return act.quantize(x, -act.last_bits)


def _both(act: ActQuant, x: Tensor) -> Tensor:
    """Up and down by turns, so that the effects of equal neighbours do not cancel."""
    turns = 1 - 2 * (torch.arange(x.numel(), device=x.device) % 2)
    return act.quantize(x, act.last_bits * turns.reshape(x.shape))


NUDGES: tuple[Rounding, ...] = (_up, _down, _both)
