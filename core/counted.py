"""A count that is in the checkpoint, and read without waiting for a GPU."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn


class Counted(nn.Module):
    """A module that knows how much of something is done; `start_counting` is called in its ``__init__``.

    Attributes:
        counter: the state-dict name of the count; a part of the class.
        now: the count as a Python number.
    """

    counter: ClassVar[str] = "steps_done"
    now: int

    def start_counting(self) -> None:
        """Begin at 0, after the construction of `nn.Module`."""
        self.register_buffer(self.counter, torch.tensor(0))
        self.now = 0

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.now = int(getattr(self, self.counter))

    def count(self, number: int) -> None:
        """Note that ``number`` are done."""
        getattr(self, self.counter).fill_(number)
        self.now = number
