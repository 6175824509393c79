"""List the images of a DomainBed folder: ``root/domain/class/image``, in torchvision's ImageFolder order.

The order matters: splits are sets of positions, and equal order makes them DomainBed's splits.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError, UnknownNameError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry is one image file of a data set.

    Attributes:
        path: relative to the root, with forward slashes.
        domain: name of its environment.
        label: name of its class.
        bytes: size of the file.
        mtime: time of its last change in nanoseconds.
    """

    path: str
    domain: str
    label: str
    bytes: int
    mtime: int


@dataclass(frozen=True)
class Listing:
    """A listing holds everything below a root, grouped by domain, then by class, both sorted by name."""

    root: Path
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images by domain and class; a class that a domain lacks counts 0."""
        out = {domain: dict.fromkeys(self.classes, 0) for domain in self.domains}
        for entry in self.entries:
            out[entry.domain][entry.label] += 1
        return out


def _folders(parent: Path) -> list[str]:
    return sorted(e.name for e in os.scandir(parent) if e.is_dir() and not e.name.startswith("."))


def _images(root: Path, domain: str, label: str) -> list[Entry]:
    found = []
    for folder, _, names in sorted(os.walk(root / domain / label, followlinks=True)):
        relative = Path(folder).relative_to(root).as_posix()
        for name in sorted(names):
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                state = os.stat(os.path.join(folder, name))  # pathlib would double the time of the scan
                found.append(Entry(f"{relative}/{name}", domain, label, state.st_size, mtime=state.st_mtime_ns))
    return found


def _check(listing: Listing) -> None:
    if not listing.entries:
        raise DataError(f"no images below {listing.root}; it must hold DOMAIN/CLASS/IMAGE with {', '.join(EXTENSIONS)}")
    counts = listing.counts()
    for domain, by_class in counts.items():
        if not any(by_class.values()):
            raise DataError(f"domain {domain!r} of {listing.root} has no images; fill or remove the folder")
    for label in listing.classes:
        holders = [domain for domain in listing.domains if counts[domain][label]]
        if len(holders) < 2:
            raise DataError(
                f"class {label!r} of {listing.root} occurs in domain {holders[0]!r} only, so it can never be both "
                "learned and tested; add it to another domain or remove it"
            )


def scan(root: Path, domains: Sequence[str] | None = None, exclude: Collection[str] = ()) -> Listing:
    """List a folder without opening an image.

    Args:
        root: holds one folder per domain.
        domains: the ones to use, in index order; None takes all, sorted. Hidden folders are skipped.
        exclude: paths relative to ``root`` to leave out.

    Raises:
        DataError: the root is missing or empty, has one domain, a domain without images, or a class that
            occurs in one domain only.
        UnknownNameError: a name in ``domains`` has no folder.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; put the data set there or set data.root to where it is")
    present = _folders(root)
    chosen = tuple(present if domains is None else domains)
    for name in chosen:
        if name not in present:
            raise UnknownNameError(f"domain folder below {root}", name, present)
    if present and len(chosen) < 2:
        raise DataError(f"a data set needs at least two domains, one of them the target; {root} gives {list(chosen)}")
    skipped = frozenset(exclude)
    entries = tuple(
        entry
        for domain in chosen
        for label in _folders(root / domain)
        for entry in _images(root, domain, label)
        if entry.path not in skipped
    )
    classes = tuple(sorted({entry.label for entry in entries}))
    listing = Listing(root, chosen, classes, entries)
    _check(listing)
    return listing
