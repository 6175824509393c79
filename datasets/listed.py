"""From a listing of images to a data set: decoded on first use, one array for each domain."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, DataError
from .base import Domain, DomainDataset
from .cache import Meta, Progress, cached_images, write_pixels
from .scan import Listing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Split = Literal["official", "domainbed"]
"""Whether a data set's own split says which images of a source are held out, or DomainBed's rule."""


def check_size(size: int) -> None:
    """Raise ConfigError where images cannot be kept at this size, pixels."""
    if not 8 <= size <= 1024:
        raise ConfigError(f"images come in sizes 8..1024, got {size}; write size: 64")


def check_split(split: str) -> None:
    """Raise ConfigError for a split of another name."""
    if split not in get_args(Split):
        raise ConfigError(f"dataset.split must be one of {', '.join(get_args(Split))}, got {split!r}")


def find_root(name: str, root: Path | None, folder: str | None) -> Path:
    """Return ``root/folder`` where that exists, else ``root`` itself, which may be the data set's own folder.

    Raises:
        DataError: no root was given or neither exists.
    """
    if root is None:
        raise DataError(f"data set {name!r} is read from disk; set data.root to the folder that holds {folder or name}")
    below = Path(root) / (folder or "")
    if below.is_dir():
        return below
    if Path(root).is_dir() and Path(root).name == folder:
        return Path(root)
    raise DataError(f"no folder {below} for data set {name!r}; put it there or set data.root to the folder above it")


def _images(
    name: str, listing: Listing, size: int, cache_dir: Path | None, progress: Progress | None
) -> tuple[Meta, NDArray[np.uint8]]:
    if cache_dir is not None:
        return cached_images(name, listing, size, Path(cache_dir), progress=progress)
    buffer = io.BytesIO()
    meta = write_pixels(listing, size, buffer, progress, workers=None)
    return meta, np.frombuffer(buffer.getbuffer(), np.uint8).reshape(meta.count, 3, size, size)


def _domains(
    listing: Listing, images: NDArray[np.uint8], held_out: Mapping[str, NDArray[np.int64]]
) -> tuple[Domain, ...]:
    number = {label: k for k, label in enumerate(listing.classes)}
    labels = np.array([number[entry.label] for entry in listing.entries], dtype=np.int64)
    out, start = [], 0
    for domain, by_class in listing.counts().items():
        stop = start + sum(by_class.values())
        out.append(Domain(domain, images[start:stop], labels[start:stop], held_out.get(domain)))
        start = stop
    return tuple(out)


def listed_dataset(
    name: str,
    listing: Listing,
    size: int,
    cache_dir: Path | None,
    progress: Progress | None = None,
    held_out: Mapping[str, NDArray[np.int64]] | None = None,
) -> DomainDataset:
    """Return the images of a listing as a data set, decoding them on first use only.

    Args:
        name: of the data set.
        listing: its images.
        size: side of the images, pixels.
        cache_dir: where the decoded images are kept; None keeps them in memory, 3 * size**2 bytes each.
        progress: called with (images done, all images).
        held_out: by domain, the places of the images that an official split holds out.

    Returns:
        uint8 images (N, 3, size, size), ImageNet's mean and std; the fingerprint hashes the files' content and size.

    Raises:
        DataError: an image cannot be read, or the cache cannot be written.
    """
    meta, images = _images(name, listing, size, cache_dir, progress=progress)
    parts = _domains(listing, images, held_out or {})
    return DomainDataset(name, parts, listing.classes, meta.fingerprint, mean=IMAGENET_MEAN, std=IMAGENET_STD)
