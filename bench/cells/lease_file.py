"""The files of leases: how they are named and numbered, and what they say. A file that is none is never opened."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import RecordError
from ..results.codec import WRONG
from ..results.folder import is_regular, read_with_status
from .process import Identity

MOST = 10**6
"""No generation is higher: each takes a process that dies or stands still."""
_MOST_BYTES = 2**16


@dataclass(frozen=True)
class Holder:
    """A holder is somebody else who has a lease; ``who`` is None where the file says nothing readable."""

    name: str
    generation: int
    owner: str
    who: Identity | None
    touched: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.who.host} process {self.who.pid}" if self.who else "an unknown process"


def lease_path(folder: Path, name: str, generation: int) -> Path:
    """Return where a generation of a lease is or will be."""
    return folder / f"{name}.lease.{generation}"


def name_of(path: Path) -> str:
    """Return the name of the lease that a file belongs to."""
    return path.name.rpartition(".lease.")[0]


def generation_of(path: Path) -> int:
    """Return the generation that a file's name says, from 1 to `MOST`; 0 where it says none."""
    number = path.name.rpartition(".")[2]
    plain = number.isascii() and number.isdigit() and len(number) <= len(str(MOST))
    return int(number) if plain and int(number) <= MOST else 0


def generations(folder: Path, name: str) -> Iterator[tuple[int, Path]]:
    """Yield all generations of a lease that are there, in no order."""
    for path in folder.glob(f"{name}.lease.*"):
        if (generation := generation_of(path)) and is_regular(path):
            yield generation, path


def free_generation(folder: Path, name: str, least: int) -> int:
    """Return the first generation from ``least`` on whose name is not taken by a folder, a link or the like."""
    generation = least
    while os.path.lexists(path := lease_path(folder, name, generation)) and not is_regular(path):
        generation += 1
    return generation


def read_holder(path: Path) -> Holder | None:
    """Return the holder that a file names, who is unknown where it cannot be read; None where there is no lease."""
    text = b""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        text, status = read_with_status(os.fspath(path), _MOST_BYTES)
    except OSError:
        return None
    except RecordError:  # respected until it stands still
        pass
    generation, touched = generation_of(path), (status.st_ino, status.st_mtime_ns, status.st_size)
    try:
        raw = json.loads(text)
        return Holder(name_of(path), generation, str(raw["owner"]), Identity.parse(raw), touched=touched)
    except WRONG:
        return Holder(name_of(path), generation, "", None, touched=touched)


def odd_leases(folder: Path) -> list[str]:
    """Return a line for each file that is named like a lease and is none; it does not count."""
    lines = []
    for path in sorted(folder.glob("*.lease.*")):
        if not generation_of(path):
            lines.append(f"{path} is ignored: the name of a lease ends in a number from 1 to {MOST}")
        elif not is_regular(path):
            lines.append(f"{path} is ignored: a lease is a regular file")
    return lines
