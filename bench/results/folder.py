"""The paths of a run folder and the reading of its files: nothing leads outside, no link, pipe or device is opened.

A run folder may come from a stranger, who chooses what its records say and what its names lead to. Whatever builds a
path of a run folder from a name does it here. Imports no torch.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ...core.errors import RecordError

KEY = re.compile(r"[0-9a-f]{16}")
"""Of a cell or a float phase; it becomes a file name."""
MOST_TEXT = 64 * 2**20
"""Bytes; no JSON file of a run folder is larger."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def check_key(key: object, name: str) -> None:
    """Raise RecordError, beginning with ``name``, unless ``key`` is one."""
    if not isinstance(key, str) or KEY.fullmatch(key) is None:
        raise RecordError(f"{name} must have a key of 16 hexadecimal digits, got {str(key)[:40]!r}; run the cell again")


def check_name(path: Path, file: str) -> None:
    """Raise RecordError unless a file lies under the name of ``file``, which its content gives: a copy is no second one."""
    name = Path(file).name
    if path.name != name:
        raise RecordError(f"{path} must be named {name[:80]!r} for what it holds; remove it")


def inside(root: Path, relative: str) -> Path:
    """Return the path of a file of a run folder.

    Args:
        root: the run folder, which may itself be a link.
        relative: where in it, with forward slashes.

    Raises:
        RecordError: the path leads out of the folder, by its name or through a link.
    """
    parts = PurePosixPath(relative).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in relative or "\0" in relative:
        raise RecordError(f"a file of {root} must lie in that folder, got {relative[:80]!r}; do not use this folder")
    path = root
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink():
            raise RecordError(f"{path} must be a folder, not a link; copy what it leads to, or link {root} as a whole")
    return path / parts[-1]


def read_file(path: Path, most: int | None = None) -> bytes:
    """Read a regular file.

    Args:
        path: of the file.
        most: refuse more bytes than this.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is a link, a folder, a pipe or a device, too large, or cannot be read.
    """
    data, _ = read_with_status(os.fspath(path), most)
    return data


def read_with_status(path: str, most: int | None = None) -> tuple[bytes, os.stat_result]:
    """Do as `read_file`, and return the file's status as well."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise FileNotFoundError(error.errno, error.strerror, path) from error
        raise RecordError(_unreadable(path, error)) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RecordError(f"{path} must be a regular file, not {_kind(status.st_mode)}; remove it")
        if most is not None and status.st_size > most:
            raise RecordError(f"{path} must have at most {most} bytes, it has {status.st_size}; remove it")
        return _whole(handle, status.st_size), status
    except OSError as error:
        raise RecordError(_unreadable(path, error)) from error
    finally:
        os.close(handle)


def _whole(handle: int, size: int) -> bytes:
    data = os.read(handle, size)
    if len(data) == size:
        return data
    parts = [data]
    while part := os.read(handle, 2**26):  # one call reads at most 2 GiB
        parts.append(part)
    return b"".join(parts)


def read_text(path: Path) -> str:
    """Read a regular file of UTF-8, at most `MOST_TEXT` bytes; raises as `read_file`."""
    try:
        return read_file(path, MOST_TEXT).decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); remove it") from error


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file; a link is none, wherever it leads."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def entries(root: Path, folder: str, suffix: str = "") -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder of a run folder, in no order; hidden names and other endings are passed over."""
    place = inside(root, f"{folder}/-").parent
    if not place.is_dir():
        return
    with os.scandir(place) as found:
        for entry in found:
            if not entry.name.startswith(".") and entry.name.endswith(suffix):
                yield entry


def listed(root: Path, folder: str, suffix: str = "") -> list[Path]:
    """Return the paths of `entries` in order of their names."""
    return [root / folder / name for name in sorted(entry.name for entry in entries(root, folder, suffix))]


def _unreadable(path: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"{path} must be a regular file, not a link; remove it"
    return f"{path} cannot be read ({error.strerror or error}); make it readable or remove it"


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a device")
