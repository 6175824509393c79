"""What a data set holds, for people to check before they spend hours on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import DomainDataset
from .sources import IMAGE_SETS


@dataclass(frozen=True)
class Inventory:
    """An inventory counts the images of one data set.

    Attributes:
        name: of the data set.
        shape: (C, H, W) of the images.
        fingerprint: of the content.
        counts: images by domain and class, both in index order.
    """

    name: str
    shape: tuple[int, int, int]
    fingerprint: str
    counts: dict[str, dict[str, int]]

    @property
    def total(self) -> int:
        """All domains and classes together hold so many images."""
        return sum(sum(by_class.values()) for by_class in self.counts.values())

    @property
    def published(self) -> int | None:
        """The published set of this name has so many images; None where there is none."""
        return IMAGE_SETS[self.name].images if self.name in IMAGE_SETS else None


def inspect(dataset: DomainDataset) -> Inventory:
    """Count the images of every domain and class."""
    counts = {}
    for domain in dataset.domains:
        numbers = np.bincount(domain.labels, minlength=len(dataset.classes)).tolist()
        counts[domain.name] = dict(zip(dataset.classes, numbers, strict=True))
    return Inventory(dataset.name, dataset.shape, dataset.fingerprint, counts)
