"""A folder of files that is looked at again and again: each is read once, and once more where it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from .folder import entries

Read = TypeVar("Read")


class ReadFolder(Generic[Read]):
    """This keeps what the JSON files of one folder of a run folder hold.

    A file counts as changed where its inode, size or time of modification has.

    Args:
        root: the run folder.
        folder: in it.
        read: makes the object of a file; None where the file is gone by then.
    """

    def __init__(self, root: Path, folder: str, read: Callable[[Path], Read | None]) -> None:
        self.root, self.folder, self.read = root, folder, read
        self._known: dict[str, tuple[tuple[int, int, int], Read]] = {}

    def update(self) -> dict[str, Read]:
        """Return what all files hold now, by their names without the ending, in no order."""
        known, self._known = self._known, {}
        for entry in entries(self.root, self.folder, ".json"):
            name = entry.name.removesuffix(".json")
            stamp = _stamp(entry)
            old = known.get(name)
            if old is not None and stamp is not None and old[0] == stamp:
                self._known[name] = old
            elif stamp is not None and (found := self.read(self.root / self.folder / entry.name)) is not None:
                self._known[name] = stamp, found
        return {name: found for name, (_, found) in self._known.items()}


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int, int] | None:
    """Taken before the file is read, so that a later change is seen next time; None where the file is gone."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
