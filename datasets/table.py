"""The images in the rows of a table, in the order of DomainBed's folders: domains by name, classes by name, files by name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from .scan import Entry, Listing, check_classes, choose_domains

Names = Sequence[str] | Sequence[int]
"""Numbers are sorted as numbers, words as words."""


class Rows(NamedTuple):
    """What a table holds, one entry for each row.

    Attributes:
        domains: of each image.
        labels: of each image, its class.
        files: name of the file that each image was; None where the table does not know it of all.
        read: returns the image file of a row, undecoded.
    """

    domains: Names
    labels: Names
    files: Sequence[str] | None
    read: Callable[[int], bytes]


class Contents(NamedTuple):
    """What a table holds but for the images, in the order of folders.

    Attributes:
        domains: names in that order.
        classes: likewise.
        rows: of each image its row, the places of its domain and of its class above, and the name of its file.
    """

    domains: list[str]
    classes: list[str]
    rows: list[tuple[int, int, int, str]]


@dataclass(frozen=True)
class TableListing(Listing):
    """A listing of images in a table, which is opened when the first of them is read.

    Attributes:
        rows: of each entry, its row.
        open_table: returns the table.
    """

    rows: tuple[int, ...] = ()
    open_table: Callable[[], Rows] | None = None

    @cached_property
    def _read(self) -> Callable[[int], bytes]:
        assert self.open_table is not None
        return self.open_table().read

    def read(self, k: int) -> bytes:
        """Return the image file of entry ``k``."""
        return self._read(self.rows[k])


def list_rows(
    open_table: Callable[[], Rows], source: str, version: str, domains: Sequence[str] | None, kept: Path | None
) -> TableListing:
    """List the images of a table.

    Args:
        open_table: returns it.
        source: what it is called in messages.
        version: the same as long as the table is the same.
        domains: the ones to use, in index order; None takes all, sorted.
        kept: a file for what was found, so that the table need not be opened again; None keeps nothing.

    Raises:
        DataError: fewer than two domains, or a class that occurs in one domain only.
        UnknownNameError: a name in ``domains`` is no domain of the table.
        ConfigError: a domain is named twice.
    """
    found = _recalled(kept, version)
    if found is None:
        found = _looked_up(open_table())
        _keep(kept, version, found)
    chosen = choose_domains(source, found.domains, domains, found.domains)
    mine = [row for domain in chosen for row in found.rows if found.domains[row[1]] == domain]
    entries = tuple(_entry(found.domains[domain], found.classes[label], file) for _, domain, label, file in mine)
    used = {entry.label for entry in entries}
    listing = TableListing(
        Path(source),
        chosen,
        tuple(name for name in found.classes if name in used),
        entries,
        version=f" {version}",
        rows=tuple(row for row, *_ in mine),
        open_table=open_table,
    )
    check_classes(listing)
    return listing


def _entry(domain: str, label: str, file: str) -> Entry:
    return Entry(f"{domain}/{label}/{file}", domain, label, 0, mtime=0)


def _looked_up(table: Rows) -> Contents:
    domains, classes = _sorted(table.domains), _sorted(table.labels)
    place_of_domain, place_of_class = ({name: k for k, name in enumerate(names)} for names in (domains, classes))
    files = table.files or [f"{row:08}" for row in range(len(table.labels))]
    rows = [
        (row, place_of_domain[domain], place_of_class[label], file)
        for row, (domain, label, file) in enumerate(zip(table.domains, table.labels, files, strict=True))
    ]
    rows.sort(key=lambda row: (row[1], row[2], row[3], row[0]))
    return Contents([str(name) for name in domains], [str(name) for name in classes], rows)


def _sorted(names: Names) -> list[Any]:
    once: set[Any] = set(names)
    return sorted(once, key=lambda name: (isinstance(name, str), name))


def _sum(version: str, text: str) -> str:
    return hashlib.sha256(f"{version}\n{text}".encode(errors="surrogateescape")).hexdigest()


def _keep(file: Path | None, version: str, found: Contents) -> None:
    """Keep it if that can be done; whoever comes without it looks it up again."""
    if file is None:
        return
    text = json.dumps(found)
    draft = file.with_name(f".{file.name}-{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{_sum(version, text)}\n{text}")
        draft.replace(file)


def _recalled(file: Path | None, version: str) -> Contents | None:
    """What was kept of this version, or None where it is not as it was written."""
    try:
        checksum, _, text = file.read_text().partition("\n") if file else ("", "", "")
        if checksum != _sum(version, text):
            return None
        raw: Any = json.loads(text)
        return Contents(raw[0], raw[1], [tuple(row) for row in raw[2]])
    except (OSError, ValueError):
        return None
