"""A count of optimizer steps that is in the checkpoint, and read without waiting for a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class StepCounter(nn.Module):
    """A module that knows how many optimizer steps are done; `start_counting` is called in its ``__init__``.

    Attributes:
        steps_done: the count, as the checkpoint has it.
        now: the same as a Python number.
    """

    steps_done: Tensor
    now: int

    def start_counting(self) -> None:
        """Begin with no step done."""
        self.register_buffer("steps_done", torch.tensor(0))
        self.now = 0

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.now = int(self.steps_done)

    def count(self, step: int) -> None:
        """Note that ``step`` optimizer steps are done."""
        self.steps_done.fill_(step)
        self.now = step
