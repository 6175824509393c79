"""Random numbers of a fake quantizer: fixed by the quantizer's seed, the layer and the optimizer steps done."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def stream(key: str, device: torch.device) -> torch.Generator:
    """Make the generator of a key; its numbers depend on the device's kind."""
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "big"))


class Draws(nn.Module):
    """It draws anew after each optimizer step, the same for every forward between two of them.

    The global generators are left alone, and a resumed training draws what it would have drawn.

    Args:
        seed: of the quantizer, >= 0.
        name: dotted name of the layer.
    """

    steps_done: Tensor

    def __init__(self, seed: int, name: str) -> None:
        super().__init__()
        self.register_buffer("steps_done", torch.tensor(0))
        self.key = f"{seed}/{name}"
        self._now = 0

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._now = int(self.steps_done)

    def advance(self, step: int) -> None:
        """Note that ``step`` optimizer steps are done: the next forward draws anew."""
        self.steps_done.fill_(step)
        self._now = step

    def uniform(self, x: Tensor) -> Tensor:
        """Return this step's draw from [0, 1), of x's shape and dtype; the stream depends on the device's kind."""
        return torch.rand(
            x.shape, generator=stream(f"{self.key}/{self._now}", x.device), device=x.device, dtype=x.dtype
        )
