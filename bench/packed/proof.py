"""What was measured is what was stored: the packed file against the trained network, on one batch.

Both networks run on the same images, and each quantized layer or output of the stored one is held against the same of the
trained one. Then it hands on the trained one's output, so that a value that its last bit rounded to another code stays in
its layer: a deep network would carry it into every logit, and no bound would tell it from another grid.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import PackedModelError
from ...quantizers.export import ActQuant
from .file import PackedModel
from .twin import NOISE_FACTOR, NUDGES, RELATIVE_LIMIT, InputGrid, OutputGrid, Twin, largest_difference

VALUES_AT_ONCE = 2**19
"""Images are taken a few at a time: the outputs of all layers are kept."""
LAYER_LIMIT = 1e-5
"""Sums in another order move a layer's output by less than this share, root mean square."""


@dataclass
class _Layer:
    """A module in both networks: sums of squares of its outputs, of their differences and of what last bits change."""

    grid: InputGrid | None
    output: OutputGrid | None = None
    raw: Any = None
    heard: deque[Tensor] = field(default_factory=deque)
    call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    size: float = 0.0
    difference: float = 0.0
    noise: float = 0.0

    def hear(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Keep what the trained layer gives."""
        if isinstance(_first(output), Tensor):
            self.heard.append(_first(output).clone())  # an activation in place may follow

    def before(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep how the stored layer is called, before its input is rounded."""
        self.call = args, kwargs

    def before_rounding(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Keep what the stored module returns, before that is rounded."""
        self.raw = output

    def compare(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Hold the stored layer's output against the trained one's, which takes its place."""
        own = _first(output)
        if not self.heard or not isinstance(own, Tensor):
            return None
        expected = self.heard.popleft()
        self.size += _square(expected)
        self.difference += _square(own - expected)
        if self.grid is not None:
            for self.grid.rounding in NUDGES:
                moved_args, moved_kwargs = self.grid(layer, *self.call)
                moved = _first(layer.forward(*moved_args, **moved_kwargs))
                self.noise += _square((moved if self.output is None else self.output(layer, (), moved)) - own)
            self.grid.rounding = ActQuant.quantize
        if self.output is not None:
            self.noise += sum(_square(nudged(self.output.act, self.raw) - own) for nudged in NUDGES)
        return (expected, *output[1:]) if isinstance(output, tuple) else expected

    @property
    def share(self) -> float:
        """Difference over output, root mean square."""
        return math.sqrt(self.difference / max(self.size, 1e-300))

    @property
    def limit(self) -> float:
        """What last bits may make of `share`."""
        return max(LAYER_LIMIT, NOISE_FACTOR * math.sqrt(self.noise / max(self.size, 1e-300)))


def _first(output: Any) -> Any:
    """The tensor of interest: an attention returns its weights beside it."""
    return output[0] if isinstance(output, tuple) else output


def _square(x: Tensor) -> float:
    return float(x.double().square().sum())


@torch.no_grad()
def prove_packed(trained: nn.Module, model: PackedModel, fresh: nn.Module, x: Tensor) -> Tensor:
    """Return the trained network's logits (N, classes), which the packed model must give within float rounding.

    Every output of a layer, and every quantized one, must agree within 1e-5, root mean square, or twice what moving its input by last bits does, and
    the logits within 1e-4 of the largest.

    Args:
        trained: the network that was measured, in eval mode.
        model: read back from the file.
        fresh: a float network of the same architecture on the same device; not changed.
        x: images (N, C, H, W).

    Raises:
        PackedModelError: the two differ by more, or logits are not finite.
    """
    twin = Twin(fresh, model.state(), model.sites, model.outputs)
    modules = {site.module(name) for name, site in model.sites.items()} | model.outputs.keys()
    names = [name for name, _ in trained.named_modules() if name in modules]
    layers = {name: _Layer(twin.grids.get(name), twin.output_grids.get(name)) for name in names}
    pairs = []
    for part in torch.split(x, max(1, VALUES_AT_ONCE // x[0].numel())):
        with _hooks(trained, layers, stored=False):
            logits: Tensor = trained(part)
        with _hooks(twin.network, layers, stored=True):
            pairs.append((logits, twin.logits(part)))
        for layer in layers.values():
            layer.heard.clear()
    logits, guided = (torch.cat(side) for side in zip(*pairs, strict=True))
    if not bool(logits.isfinite().all()):
        raise PackedModelError(
            "the logits of the trained network must be finite, but are not; lower protocol.lr or the quantizer's lr_ratio"
        )
    wrong = [
        f"{name} is off by {layer.share:.2g} of its output"
        for name, layer in layers.items()
        if layer.share > layer.limit
    ]
    if not largest_difference(logits, guided) <= RELATIVE_LIMIT * float(logits.abs().max()):
        wrong.append("what follows the quantized layers is off")
    if wrong:
        raise PackedModelError(
            f"the packed model gives other logits, largest difference {largest_difference(twin.logits(x), logits):.3g}: "
            f"{wrong[0]}{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}; export what the eval "
            "forward computes with, for every layer of the plan and no other"
        )
    return logits


@contextmanager
def _hooks(network: nn.Module, layers: Mapping[str, _Layer], stored: bool) -> Iterator[None]:
    """Let each layer of one network report to its entry."""
    with ExitStack() as stack:
        for name, layer in layers.items():
            module = network.get_submodule(name)
            if stored:
                stack.callback(module.register_forward_pre_hook(layer.before, prepend=True, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(layer.before_rounding, prepend=True).remove)
            stack.callback(module.register_forward_hook(layer.compare if stored else layer.hear).remove)
        yield
