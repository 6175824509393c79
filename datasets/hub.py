"""Any image data set of the Hugging Face hub, or a local copy in Parquet or Arrow files, that says the domain of an image.

The library ``datasets`` reads it. Images stay files until they are decoded as those of folders are, so that the same files give
the same pixels, order and splits however they came.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, DataError
from ..core.paths import file_name
from .base import DomainDataset
from .hub_rows import Columns, Source, open_rows
from .listed import check_size, listed_dataset
from .table import list_rows

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load_hub(  # noqa: PLR0913 - what a table is called and what its columns are, as keywords
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None,
    size: int,
    path: str | None = None,
    revision: str | None = None,
    subset: str | None = None,
    image_column: str = "image",
    label_column: str = "label",
    domain_column: str | None = "domain",
    domains: Sequence[str] | None = None,
) -> DomainDataset:
    """Load a table of images; all its splits count, and DomainBed's rule holds a fifth of each domain out.

    Args:
        name: of the data set.
        root: what a local ``path`` is relative to.
        cache_dir: where decoded images and the library's files are kept; None keeps images in memory and takes the library's
            own folder.
        size: side of the images, pixels, 8..1024.
        path: a file or folder below ``root``, or else ORG/NAME on the hub.
        revision: commit of the hub's repository, 40 hexadecimal digits; None for a local copy.
        subset: of the repository, where it has several; None takes its only one.
        image_column: holds the images, as the library's Image or as the bytes of a file.
        label_column: holds the classes, as names or numbers.
        domain_column: likewise the domains; None: each split is a domain.
        domains: the domains to use, in index order; None takes all, sorted.

    Returns:
        uint8 images (N, 3, size, size), ImageNet's mean and std. Domains and classes are sorted by name, images of a class by the
        name of their file, or as the rows come where the table has no file names.

    Raises:
        ConfigError: no path, a revision that is no commit, or one for a local copy; the size is out of range.
        DataError: it cannot be read, or lacks a column; fewer than two domains, or a class that occurs in one only.
        MissingPackageError: the library is not installed.
    """
    check_size(size)
    if not path:
        raise ConfigError("dataset.path cannot be left out; write dataset.path=ORG/NAME, or a folder of Parquet files")
    columns = Columns(image_column, label_column, domain_column)
    local = _local(root, path)
    version = _file_state(local, revision) if local else _commit(path, revision, root)
    version = f"{version} {subset} {tuple(columns)}"
    key = hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest()[:16]
    kept, files = (
        (None, None) if cache_dir is None else (cache_dir / f"{file_name(name)}-{key}.json", cache_dir / "hub")
    )
    source = Source(str(local or path), local is not None, revision, subset, cache=files)
    listing = list_rows(partial(open_rows, source, columns), source.name, version, domains, kept=kept)
    return listed_dataset(name, listing, size, cache_dir)


def _local(root: Path | None, path: str) -> Path | None:
    places = [Path(path).expanduser()] if Path(path).expanduser().is_absolute() else [Path(root or ".") / path]
    return next((place for place in places if place.exists()), None)


def _file_state(local: Path, revision: str | None) -> str:
    """What can be seen of local files without opening them."""
    if revision is not None:
        raise ConfigError(
            f"dataset.revision is a commit of the hub, but {local} is a local copy; leave it out, or name the copy otherwise"
        )
    files = sorted(local.rglob("*")) if local.is_dir() else [local]
    states = [(file.relative_to(local).as_posix(), file.stat()) for file in files if file.is_file()]
    return " ".join(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)


def _commit(path: str, revision: str | None, root: Path | None) -> str:
    """The repository at a commit; whatever else names a state of it may move."""
    if not _REPOSITORY.fullmatch(path):
        raise DataError(
            f"no file or folder {Path(root or '.') / path}; put the copy there, set data.root to the folder above it, or write "
            "dataset.path=ORG/NAME for one of the hub"
        )
    if revision is None or not _COMMIT.fullmatch(revision):
        now = present_commit(path)
        raise ConfigError(
            f"dataset.revision must be a commit of {path} on the hub, 40 hexadecimal digits, so that it stays the same, got "
            f"{revision or 'none'}; write dataset.revision={now or 'COMMIT, as the page of its files shows it'}"
        )
    return f"{path}@{revision}"


def present_commit(path: str) -> str:
    """Return the newest commit of a repository of the hub, or an empty string where nobody answers in five seconds."""
    try:
        answer: Any = import_module("huggingface_hub").HfApi().dataset_info(path, timeout=5)
        return str(answer.sha or "")
    except Exception:  # noqa: BLE001 - no network, no such repository, no library: a help for a message only
        return ""
