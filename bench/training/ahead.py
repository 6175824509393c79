"""The next step's batches, made on a stream of their own while a GPU trains on the present ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from ..transforms.base import Minibatches


class Stream(Protocol):
    """A queue of work beside the one that trains."""

    def open(self) -> AbstractContextManager[object]:
        """Within, work goes to this stream."""
        ...

    def join(self, tensors: list[Tensor]) -> None:
        """Let the training wait, on the device, for what is queued here, and keep the memory of these until it has used them."""
        ...


class SideStream:
    """A stream of a GPU."""

    def __init__(self, device: str) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def open(self) -> AbstractContextManager[object]:
        """Within, kernels and copies go to this stream."""
        return torch.cuda.stream(self.stream)

    def join(self, tensors: list[Tensor]) -> None:
        """Make the present stream wait for this one."""
        present = torch.cuda.current_stream(self.stream.device)
        present.wait_stream(self.stream)
        for tensor in tensors:
            tensor.record_stream(present)


class Ahead:
    """Batches by step; asking for one begins the next.

    Args:
        draw: makes the batches of a step; a pure function of the step.
        stream: where it does so.
        steps: the last step there is.
    """

    def __init__(self, draw: Callable[[int], Minibatches], stream: Stream, steps: int) -> None:
        self.draw, self.stream, self.steps = draw, stream, steps
        self._ready: tuple[int, Minibatches] | None = None

    def __call__(self, step: int) -> Minibatches:
        """Return the batches of a step, and begin those of the next."""
        if self._ready is None or self._ready[0] != step:
            self._begin(step)
        assert self._ready is not None
        batches = self._ready[1]
        self.stream.join([tensor for pair in batches for tensor in pair])
        self._ready = None
        if step < self.steps:
            self._begin(step + 1)
        return batches

    def _begin(self, step: int) -> None:
        with self.stream.open():
            self._ready = step, self.draw(step)
