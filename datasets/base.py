"""A data set for domain generalization: named environments over one set of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, UnknownNameError
from ..core.repeats import refuse_repeats
from .splits import Indices


@dataclass(frozen=True)
class Domain:
    """A domain holds the images and labels of one environment.

    Attributes:
        name: of the environment.
        images: uint8, shape (N, C, H, W); an array in memory or a read-only memory map.
        labels: int64, shape (N,), class indices.
        held_out: int64, the places of the images that an official split holds out of training while the domain is a
            source; None leaves that to DomainBed's rule.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    held_out: NDArray[np.int64] | None = None

    def source_split(self, by_rule: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
        """Return which images of a source train and which are held out: the official split, or else ``by_rule``."""
        if self.held_out is None:
            return by_rule
        return np.setdiff1d(np.arange(len(self.labels)), self.held_out), self.held_out


@dataclass(frozen=True)
class Outline:
    """An outline is what is known of a data set once it has been read, without its images.

    Attributes:
        domains: names in index order.
        targets: those that are held out one after the other unless others are asked for.
        classes: names by label.
        shape: of the images, (C, H, W).
        fingerprint: hash of the content.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    fingerprint: str


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
        official_targets: the domains that an official protocol holds out; empty where each may be.
    """

    name: str
    domains: tuple[Domain, ...]
    classes: tuple[str, ...]
    fingerprint: str
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    official_targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.domains) < 2:
            raise DataError(
                f"a data set needs at least two domains, one of them the target; {self.name} has "
                f"{[d.name for d in self.domains]}"
            )
        refuse_repeats("dataset.domains", [d.name for d in self.domains])

    @property
    def targets(self) -> tuple[str, ...]:
        """The domains that ``targets=all`` holds out, one after the other."""
        return self.official_targets or tuple(domain.name for domain in self.domains)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The images have this shape, (C, H, W)."""
        channels, height, width = self.domains[0].images.shape[1:]
        return channels, height, width

    @property
    def outline(self) -> Outline:
        """Return what remains to be known when the images are let go."""
        domains = tuple(domain.name for domain in self.domains)
        return Outline(domains, self.targets, self.classes, self.shape, self.fingerprint)

    def index(self, name: str) -> int:
        """Return the environment index of the domain ``name``; UnknownNameError where there is none."""
        names = [d.name for d in self.domains]
        if name not in names:
            raise UnknownNameError(f"domain of {self.name}", name, names)
        return names.index(name)
