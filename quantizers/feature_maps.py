"""The feature maps of a network whose structure is not known: one for each resolution that a forward comes by."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Forwarded(NamedTuple):
    """What a forward gives: logits (N, classes) and the last map (N, C, H, W) of each stage."""

    logits: Tensor
    maps: list[Tensor]


class FeatureMaps:
    """It runs a network and keeps the last map of each of its stages.

    A stage is a run of modules whose outputs are maps (N, C, H, W) of one size above 1 by 1, in the order in which they
    end; modules that are called more than once are left out.

    Args:
        model: the network.
        images: inputs (N, C, H, W) of the size that will be seen.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model = model
        ends: list[tuple[nn.Module, torch.Size]] = []

        def note(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2:].numel() > 1:
                ends.append((module, output.shape[2:]))

        self._watch([module for module in model.modules() if module is not model], images, note)
        called = [module for module, _ in ends]
        once = [(module, size) for module, size in ends if called.count(module) == 1]
        sizes = [size for _, size in once]
        self.stages = [module for (module, size), later in zip(once, [*sizes, None][1:], strict=True) if size != later]

    def __call__(self, images: Tensor) -> Forwarded:
        """Compute logits and maps."""
        maps: list[Tensor] = []

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            maps.append(output)

        return Forwarded(self._watch(self.stages, images, keep), maps)

    def _watch(self, modules: list[nn.Module], images: Tensor, hook: Any) -> Tensor:
        handles = [module.register_forward_hook(hook) for module in modules]
        try:
            out: Tensor = self.model(images)
            return out
        finally:
            for handle in handles:
                handle.remove()
