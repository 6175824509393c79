"""Random numbers of a fake quantizer: fixed by the quantizer's seed, the layer and the optimizer steps done."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ..core.counted import Counted


def stream(key: str, device: torch.device) -> torch.Generator:
    """Make the generator of a key; its numbers depend on the device's kind."""
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "big"))


class Draws(Counted):
    """It draws anew after each optimizer step that is counted, the same for every forward between two of them.

    The global generators are left alone, and a resumed training draws what it would have drawn.

    Args:
        seed: of the quantizer, >= 0.
        name: dotted name of the layer.
    """

    def __init__(self, seed: int, name: str) -> None:
        super().__init__()
        self.start_counting()
        self.key = f"{seed}/{name}"

    def uniform(self, x: Tensor) -> Tensor:
        """Return this step's draw from [0, 1), of x's shape and dtype; the stream depends on the device's kind."""
        return torch.rand(x.shape, generator=stream(f"{self.key}/{self.now}", x.device), device=x.device, dtype=x.dtype)
