"""Digits-DG (Zhou et al., AAAI 2020): MNIST, MNIST-M, SVHN and SYN with their own training and validation folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .base import DomainDataset
from .cache import Progress
from .listed import Split, check_size, check_split, find_root, listed_dataset
from .scan import scan
from .sources import IMAGE_SETS

PARTS = ("train", "val")


def load_digits_dg(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None,
    size: int,
    folder: str = "digits_dg",
    domains: Sequence[str] | None = None,
    split: Split = "official",
    progress: Progress | None = None,
) -> DomainDataset:
    """Load ``digits_dg/DOMAIN/train|val/DIGIT/IMAGE``: 600 images of each digit in every domain, 480 of them in train.

    With the official split a source trains on its folder train and is validated on val, whatever the seed; of a target both
    folders count, and 80 % of all are reported as of any data set, where Dassl reports them all.

    Args:
        name: of the data set.
        root: the data set's folder or the one above it.
        cache_dir: where the decoded images are kept; None keeps them in memory, 3 * size**2 bytes each.
        size: side of the images, pixels, 8..1024; they come as 32.
        folder: of the data set, below ``root``.
        domains: the domains to use, in index order; None takes mnist, mnist_m, svhn and syn.
        split: official, or domainbed: both folders together, a fifth of them held out by DomainBed's rule.
        progress: called with (images done, all images).

    Returns:
        uint8 images (N, 3, size, size), those of the folder train first; ten classes, ImageNet's mean and std.

    Raises:
        DataError: files are missing, broken or badly laid out, or the cache cannot be written.
        ConfigError: the size or the split is not one of those above.
    """
    check_size(size)
    check_split(split)
    base = find_root(name, root, folder)
    listing = scan(base, IMAGE_SETS["digits_dg"].domains if domains is None else domains, parts=PARTS)
    held_out = {
        domain: np.array([entry.path.split("/")[1] == "val" for entry in listing.entries if entry.domain == domain])
        for domain in listing.domains
    }
    official = {domain: np.flatnonzero(out) for domain, out in held_out.items()} if split == "official" else {}
    return listed_dataset(name, listing, size, cache_dir, progress, held_out=official)
