"""Where a cell's images lie, uint8 as decoded, and how a batch of them gets to the device that trains.

On a CPU a batch is cut from the data set's arrays. On a GPU the whole data set is copied there once, where it takes no more than
`SHARE` of the memory that is free, and batches are cut there; a larger one stays with the processor, and each batch goes over
from pinned memory. Either way augmentation and evaluation run on the device.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.host import sent
from ...datasets.base import DomainDataset

SHARE = 0.25
"""Of a GPU's free memory, at most, for a resident data set: networks and their activations need the rest."""
Index = NDArray[np.int64]


class Images(Protocol):
    """A place that batches are cut from."""

    def batch(self, domain: int, index: Index) -> tuple[Tensor, Tensor]:
        """Return images (N, C, H, W) and labels (N,) of one domain, on the device that trains."""
        ...


class AtHand:
    """The data set's own arrays, for a CPU."""

    def __init__(self, dataset: DomainDataset) -> None:
        self.domains = dataset.domains

    def batch(self, domain: int, index: Index) -> tuple[Tensor, Tensor]:
        """Copy the chosen rows."""
        found = self.domains[domain]
        return torch.from_numpy(found.images[index]), torch.from_numpy(found.labels[index])


class Sent:
    """The data set's arrays, from which each batch is sent to the device through pinned memory; nobody waits for it."""

    def __init__(self, dataset: DomainDataset, device: str) -> None:
        self.at_hand, self.device = AtHand(dataset), device

    def batch(self, domain: int, index: Index) -> tuple[Tensor, Tensor]:
        """Copy the chosen rows, and send them."""
        images, labels = self.at_hand.batch(domain, index)
        return sent(images, self.device), sent(labels, self.device)


class Resident:
    """Copies of all images and labels on the device."""

    def __init__(self, dataset: DomainDataset, device: str) -> None:
        self.device = device
        self.images = [torch.from_numpy(np.ascontiguousarray(d.images)).to(device) for d in dataset.domains]
        self.labels = [torch.from_numpy(np.ascontiguousarray(d.labels)).to(device) for d in dataset.domains]

    def batch(self, domain: int, index: Index) -> tuple[Tensor, Tensor]:
        """Cut the chosen rows out, there."""
        rows = sent(torch.from_numpy(index), self.device)
        return self.images[domain].index_select(0, rows), self.labels[domain].index_select(0, rows)


_last: tuple[DomainDataset, str, Images] | None = None


def images_of(dataset: DomainDataset, device: str) -> Images:
    """Choose the place; the last one is kept, so that the groups of a process share a resident copy."""
    global _last  # noqa: PLW0603
    if _last is None or _last[0] is not dataset or _last[1] != device:
        _last = None
        _last = dataset, device, _place(dataset, device)
    return _last[2]


def _place(dataset: DomainDataset, device: str) -> Images:
    if device == "cpu":
        return AtHand(dataset)
    return Resident(dataset, device) if fits(dataset, free_bytes(device)) else Sent(dataset, device)


def fits(dataset: DomainDataset, free: int) -> bool:
    """Say whether a data set may lie on a device with so many bytes free."""
    return sum(d.images.nbytes for d in dataset.domains) <= SHARE * free


def free_bytes(device: str) -> int:
    """Ask a GPU for its free memory."""
    return torch.cuda.mem_get_info(device)[0]
