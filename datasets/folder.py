"""Any data set in DomainBed's layout, ``root/domain/class/image``: PACS, VLCS, OfficeHome, your own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, DataError
from .base import Domain, DomainDataset
from .cache import Meta, Progress, cached_images, write_pixels
from .duplicates import read_list
from .scan import Listing, scan
from .sources import IMAGE_SETS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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


def _domains(listing: Listing, images: NDArray[np.uint8]) -> tuple[Domain, ...]:
    number = {label: k for k, label in enumerate(listing.classes)}
    labels = np.array([number[entry.label] for entry in listing.entries], dtype=np.int64)
    out, start = [], 0
    for domain, by_class in listing.counts().items():
        stop = start + sum(by_class.values())
        out.append(Domain(domain, images[start:stop], labels[start:stop]))
        start = stop
    return tuple(out)


def load_folder(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None,
    size: int,
    folder: str | None = None,
    domains: Sequence[str] | None = None,
    duplicates: Path | str | None = None,
    progress: Progress | None = None,
) -> DomainDataset:
    """Load a folder of images, decoding them on first use only.

    Args:
        name: of the data set.
        root: the data set's folder or the one above it.
        cache_dir: where the decoded images are kept; None keeps them in memory, 3 * size**2 bytes each.
        size: side of the images, pixels, 8..1024; aspect ratio is not kept, as in DomainBed.
        folder: of the data set, below ``root``.
        domains: the domains to use, in index order; None takes those of DomainBed's set ``name``, or else all, sorted.
        duplicates: file that lists images to leave out, absolute or relative to the data set.
        progress: called with (images done, all images).

    Returns:
        uint8 images (N, 3, size, size), ImageNet's mean and std; the fingerprint hashes the files' content and size.

    Raises:
        DataError: files are missing, broken or badly laid out, or the cache cannot be written.
        ConfigError: the size is out of range.
    """
    if not 8 <= size <= 1024:
        raise ConfigError(f"images come in sizes 8..1024, got {size}; write size: 64")
    base = find_root(name, root, folder)
    if domains is None and name in IMAGE_SETS:
        domains = IMAGE_SETS[name].domains
    listing = scan(base, domains, () if duplicates is None else read_list(base / duplicates))
    meta, images = _images(name, listing, size, cache_dir, progress=progress)
    parts = _domains(listing, images)
    return DomainDataset(name, parts, listing.classes, meta.fingerprint, mean=IMAGENET_MEAN, std=IMAGENET_STD)
