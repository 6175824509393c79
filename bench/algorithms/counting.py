"""A count of updates that is in the checkpoint, and read without waiting for a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .base import Algorithm


class Counting(Algorithm):
    """An algorithm that knows how many updates have begun; `start_counting` is called in its ``__init__``.

    Attributes:
        updates: the count, as the checkpoint has it.
        done: the same as a Python number.
    """

    updates: Tensor
    done: int

    def start_counting(self) -> None:
        """Begin with no update done, after the construction of `Algorithm`."""
        self.register_buffer("updates", torch.tensor(0))
        self.done = 0

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.done = int(self.updates)

    def begin_step(self) -> None:
        """Count the update."""
        self.updates += 1
        self.done += 1
