"""The files below a folder, where nothing that cannot be read is passed over in silence.

This is code of this project because `os.walk` swallows errors: a folder on a network drive that went away, or one that may
not be read, would lose its images without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import NoReturn

from ..core.errors import DataError


def _refuse(path: str, error: OSError) -> NoReturn:
    raise DataError(
        f"everything in a data set must be readable, {path} is not ({error.strerror or error}); mount it again, change its "
        "permissions or remove it"
    ) from error


SYSTEM = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders in which zip archives of a Mac, network drives and file systems keep their own copies."""


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; what is hidden, as notebooks keep it, or the system's, does not count."""
    try:
        with os.scandir(folder) as found:
            return sorted((e for e in found if e.name[:1] != "." and e.name not in SYSTEM), key=lambda e: e.name)
    except OSError as error:
        _refuse(folder, error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        if entry.is_symlink() and not os.path.exists(entry.path):
            raise DataError(
                f"every link in a data set must lead somewhere, {entry.path} leads to {os.readlink(entry.path)!r}, which "
                "is not there; restore that or remove the link"
            )
        return entry.is_dir()
    except OSError as error:
        _refuse(entry.path, error)


def folders(parent: Path) -> list[str]:
    """Return names of the folders directly below ``parent``, sorted; DataError where that cannot be known."""
    return [entry.name for entry in _entries(str(parent)) if _is_folder(entry)]


def state_of(path: str) -> os.stat_result:
    """Return size and times of a file; DataError for what is none, such as a pipe, which would never end."""
    try:
        state = os.stat(path)  # pathlib would double the time of the scan
    except OSError as error:
        _refuse(path, error)
    if not S_ISREG(state.st_mode):
        raise DataError(f"an image must be a file, {path} is a pipe, a device or the like; remove it")
    return state


class Tree:
    """A tree yields the files below folders of one root, and no folder twice, whatever links lead there.

    Args:
        root: of the data set.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._seen = {self._root: str(root)}
        self._links: dict[str, str] = {}

    def files(self, top: Path) -> Iterator[os.DirEntry[str]]:
        """Yield the files below ``top`` in the order of torchvision's ImageFolder, links followed.

        Raises:
            DataError: a folder cannot be read, a link leads nowhere, or two ways lead to the same folder, whose images
                would be on both sides of a split.
        """
        found = []
        open_folders = [str(top)]
        while open_folders:
            folder = open_folders.pop()
            self._enter(folder)
            entries = [(_is_folder(entry), entry) for entry in _entries(folder)]
            open_folders += [entry.path for is_folder, entry in entries if is_folder]
            found.append((folder, [entry for is_folder, entry in entries if not is_folder]))
        for _, files in sorted(found, key=lambda pair: pair[0]):
            for file in files:
                if file.is_symlink():
                    self._links[file.path] = os.path.realpath(file.path)
                yield file

    def twins(self) -> Iterator[tuple[str, str]]:
        """Yield each file that is a link to a file below these folders, and that file."""
        for link, real in self._links.items():
            folder, name = os.path.split(real)
            if folder in self._seen:
                yield link, os.path.join(self._seen[folder], name)

    def _enter(self, folder: str) -> None:
        real = os.path.realpath(folder)
        first = self._seen.setdefault(real, folder)
        if first != folder or self._root.startswith(f"{real.rstrip(os.sep)}{os.sep}"):
            raise DataError(
                f"each folder of a data set must be there once, but {folder} leads to {real}, which "
                f"{'holds' if first == folder else 'is'} {self._root if first == folder else first}; remove the link"
            )
