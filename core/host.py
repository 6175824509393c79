"""Whether a value can be read without waiting for a GPU.

A GPU works behind the processor: reading one number of a tensor that lies there (``float(x)``, ``bool(x)``, ``x.item()``) waits for
all that was asked before and leaves the GPU idle afterwards. Nothing inside a training step does so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

HOST = ("cpu",)
"""Kinds of devices whose memory the processor reads; a test empties it to take a GPU's ways on a CPU."""


def on_host(x: Tensor) -> bool:
    """Say whether the values of ``x`` can be read at once."""
    return x.device.type in HOST


def like(x: Tensor, values: Sequence[float]) -> Tensor:
    """Make a tensor of numbers, (len(values),), of the type and on the device of ``x``; nobody waits for the copy."""
    return sent(x.new_tensor(values, device="cpu"), x.device)


def sent(x: Tensor, device: torch.device | str) -> Tensor:
    """Return ``x`` on a device; a copy from the CPU to a GPU goes through pinned memory behind what is queued there."""
    if x.device.type != "cpu" or str(device) == "cpu":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
