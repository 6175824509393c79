"""A data set for domain generalization: named environments over one set of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, UnknownNameError
from ..core.repeats import refuse_repeats


@dataclass(frozen=True)
class Domain:
    """A domain holds the images and labels of one environment.

    Attributes:
        name: of the environment.
        images: uint8, shape (N, C, H, W); an array in memory or a read-only memory map.
        labels: int64, shape (N,), class indices.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class DomainDataset:
    """A data set holds its environments in index order.

    Attributes:
        name: of the data set.
        domains: at least two; one is held out as the target, the others are sources.
        classes: class names by label.
        fingerprint: hash of the content, part of a cell's identity.
        mean: per channel, of inputs scaled to 0..1.
        std: per channel, of inputs scaled to 0..1.
    """

    name: str
    domains: tuple[Domain, ...]
    classes: tuple[str, ...]
    fingerprint: str
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if len(self.domains) < 2:
            raise DataError(
                f"a data set needs at least two domains, one of them the target; {self.name} has "
                f"{[d.name for d in self.domains]}"
            )
        refuse_repeats("dataset.domains", [d.name for d in self.domains])

    @property
    def shape(self) -> tuple[int, int, int]:
        """The images have this shape, (C, H, W)."""
        channels, height, width = self.domains[0].images.shape[1:]
        return channels, height, width

    def index(self, name: str) -> int:
        """Return the environment index of the domain ``name``; UnknownNameError where there is none."""
        names = [d.name for d in self.domains]
        if name not in names:
            raise UnknownNameError(f"domain of {self.name}", name, names)
        return names.index(name)
