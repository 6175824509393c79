"""Any data set in DomainBed's layout, ``root/domain/class/image``: PACS, VLCS, OfficeHome, your own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.paths import user_path
from .base import DomainDataset
from .cache import Progress
from .duplicates import read_list
from .listed import check_size, find_root, listed_dataset
from .scan import scan
from .sources import IMAGE_SETS


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
    check_size(size)
    base = find_root(name, root, folder)
    if domains is None and name in IMAGE_SETS:
        domains = IMAGE_SETS[name].domains
    lines = () if duplicates is None else read_list(base / user_path(str(duplicates), "dataset.duplicates"))
    listing = scan(base, domains, lines)
    return listed_dataset(name, listing, size, cache_dir, progress=progress)
