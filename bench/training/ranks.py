"""The processes that train one cell together, and what they send each other.

All of them run the same program on the same seeds and whole batches; only the featurizer is divided (`sharded`). One of them,
the first, reads and writes files and looks at clocks; what it read it sends to the others.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ...core.errors import QuantDGError

T = TypeVar("T")
GONE = "one of the processes of a cell is gone; tried again, the cell goes on from its last snapshot"


class PeerLostError(QuantDGError):
    """A process of the cell is gone or does something else than this one: the cell is lost."""


@dataclass
class Ranks:
    """These are the processes of a cell, as one of them sees them; the default is a cell of one process.

    Attributes:
        rank: of this process, from 0.
        count: of all.
        device: of this process: ``cpu``, ``cuda`` or ``cuda:1``.
        together: whether the others are in the same training now; without them nothing is divided.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"
    together: bool = False

    @property
    def first(self) -> bool:
        """Say whether this process reads and writes files."""
        return self.rank == 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Train together within; needs torch's default process group of ``count`` processes."""
        self.together = self.count > 1
        try:
            yield
        finally:
            self.together = False

    def sizes(self, rows: int) -> list[int]:
        """Return how many of the rows of a batch each process has, in order; they differ by at most one."""
        return [rows // self.count + (rank < rows % self.count) for rank in range(self.count)]

    def own(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """Return this process's rows, (sizes[rank], ...), of all, (sum of sizes, ...)."""
        return rows.narrow(0, sum(sizes[: self.rank]), sizes[self.rank])

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over processes of a tensor of one shape, the same bits on each."""
        out = x.detach().clone(memory_format=torch.contiguous_format)
        with _peers():
            dist.all_reduce(out)
        return out

    def all_rows(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """Return the rows of all processes, (sum of sizes, ...), of each one's own."""
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in sizes]
        with _peers():
            dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes; its tensors come to the device of each. Only the first calls ``make``."""
        if not self.together:
            return make()
        made = make() if self.first else None
        sent: list[bytes | None] = [_packed(made) if self.first else None]
        with _peers():
            dist.broadcast_object_list(sent, src=0, device=torch.device("cpu"))
        if self.first:
            return made  # type: ignore[return-value]
        assert sent[0] is not None
        found: T = torch.load(io.BytesIO(sent[0]), map_location=self.device, weights_only=False)
        return found

    def check_equal(self, tensors: Iterable[Tensor]) -> None:
        """Raise PeerLostError, on each process, unless all have the same bits."""
        if not self.together:
            return
        own = torch.stack([_sum_of_bits(tensor) for tensor in tensors])
        first, *others = self.all_rows(own[None], [1] * self.count)
        if not all(torch.equal(other, first) for other in others):
            raise PeerLostError("the processes of a cell must have equal weights, but they have come apart")


def _packed(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """A checksum that does not depend on the order of a sum: the bits as whole numbers, weighted by place."""
    flat = tensor.detach().contiguous().reshape(-1)
    bits = (flat.view(torch.int32) if flat.element_size() == 4 else flat.view(torch.uint8)).long()
    return (bits * (torch.arange(len(bits), device=bits.device) % 65_521 + 1)).sum()


@contextmanager
def _peers() -> Iterator[None]:
    """A failing exchange means that a process is gone."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PeerLostError(GONE) from error
