"""List the images of a DomainBed folder: ``root/domain/class/image``, in torchvision's ImageFolder order.

The order matters: splits are sets of positions, and equal order makes them DomainBed's splits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError, UnknownNameError
from ..core.repeats import refuse_repeats
from .duplicates import named_images
from .walk import Tree, folders, state_of

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
    """A listing holds the images of a data set, those of a domain together.

    Attributes:
        root: what the paths of the entries are relative to.
        domains: in index order.
        classes: in the order of their labels.
        entries: in the order of the domains.
        version: of what the entries are read from, where that does not show in themselves.
    """

    root: Path
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    version: str = ""

    def read(self, k: int) -> bytes:
        """Return the content of the file of entry ``k``."""
        return (self.root / self.entries[k].path).read_bytes()

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images by domain and class; a class that a domain lacks counts 0."""
        out = {domain: dict.fromkeys(self.classes, 0) for domain in self.domains}
        for entry in self.entries:
            out[entry.domain][entry.label] += 1
        return out


def _images(tree: Tree, root: Path, domain: str, label: str, part: str) -> Iterator[Entry]:
    start = _start(root)
    for file in tree.files(root / domain / part / label):
        if file.name.lower().endswith(EXTENSIONS):
            state = state_of(file.path)
            yield Entry(_relative(file.path, start), domain, label, state.st_size, mtime=state.st_mtime_ns)


def _start(root: Path) -> int:
    """Where in the path of a file below ``root`` its relative path begins; found once, not for each image."""
    return len(str(root / "x")) - 1


def _relative(path: str, start: int) -> str:
    return path[start:].replace(os.sep, "/")


def _check_links(tree: Tree, root: Path, entries: Sequence[Entry]) -> None:
    start = _start(root)
    twins = [(_relative(link, start), _relative(file, start)) for link, file in tree.twins()]
    paths = {entry.path for entry in entries} if twins else set()
    for link, file in twins:
        if link in paths and file in paths:
            raise DataError(f"each image below {root} must be there once, but {link} is a link to {file}; remove one")


def check_classes(listing: Listing) -> None:
    """Raise DataError where a domain has no images, or a class occurs in one domain only."""
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


def choose_domains(
    source: Path | str,
    present: Sequence[str],
    asked: Sequence[str] | None,
    usual: Sequence[str],
    what: str = "domain of",
) -> tuple[str, ...]:
    """Return the domains to use: those asked for, or else the usual ones.

    Args:
        source: of the data set, for messages.
        present: names that may be asked for.
        asked: names in index order, or None.
        usual: taken unless others are asked for.
        what: a name is, with a preposition before the source.

    Raises:
        UnknownNameError: one is not present.
        ConfigError: one is asked for twice.
        DataError: they are fewer than two.
    """
    chosen = tuple(usual if asked is None else asked)
    refuse_repeats("dataset.domains", chosen)
    for name in chosen:
        if name not in present:
            raise UnknownNameError(f"{what} {source}", name, present)
    if len(chosen) < 2:
        raise DataError(f"a data set needs at least two domains, one of them the target; {source} gives {list(chosen)}")
    return chosen


def scan(
    root: Path,
    domains: Sequence[str] | None = None,
    duplicates: Sequence[str] = (),
    parts: Sequence[str] = ("",),
) -> Listing:
    """List a folder without opening an image.

    Args:
        root: holds one folder per domain.
        domains: the ones to use, in index order; None takes all, sorted. Hidden folders are skipped.
        duplicates: lines of a list of images to leave out.
        parts: folders of a domain that hold its classes, for example train and val; the domain itself unless given.

    Raises:
        DataError: the root is missing or empty, has one domain, a domain without images, or a class that occurs in one
            domain only; a folder or file cannot be read; two ways lead to an image; a duplicate is not there.
        ConfigError: a domain is named twice.
        UnknownNameError: a name in ``domains`` has no folder.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; put the data set there or set data.root to where it is")
    present = folders(root)
    chosen = choose_domains(root, present, domains, present, what="domain folder below") if present or domains else ()
    tree = Tree(root)
    found = [
        entry
        for domain in chosen
        for part in parts
        for label in folders(root / domain / part)
        for entry in _images(tree, root, domain, label, part=part)
    ]
    left_out = named_images(duplicates, [entry.path for entry in found], root, set(present) - set(chosen))
    entries = tuple(entry for entry in found if entry.path not in left_out)
    _check_links(tree, root, entries)
    classes = tuple(sorted({entry.label for entry in entries}))
    listing = Listing(root, chosen, classes, entries)
    if not entries:
        raise DataError(f"no images below {root}; it must hold DOMAIN/CLASS/IMAGE with {', '.join(EXTENSIONS)}")
    check_classes(listing)
    return listing
