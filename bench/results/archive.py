"""The records of a run folder in one file, ``records.tar.xz``: to publish, to commit, to take elsewhere. Imports no torch.

A tar archive under xz, both of which every system unpacks without this package: whatever of a run folder is text (records,
measurements, plans, searches, rules, tracebacks), in order of the names, without owners or times, so that equal folders
give equal archives. Models and float phases stay where they are. An archive may come from a stranger: only plain files of
known places and names leave it, and no more bytes than `MOST`.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ...core.errors import RecordError
from .folder import MOST_TEXT, inside, is_regular, listed, read_file
from .verdict_rules import FILE as RULES

FILE = "records.tar.xz"
MARKER = "run.json"
HEADS = (MARKER, RULES)
FOLDERS = {
    "cells": ".json",
    "deploy": ".json",
    "ensembles": ".json",
    "latency": ".json",
    "log": ".txt",
    "plans": ".json",
    "search": ".json",
}
"""Folders of a run folder that are text, and how their files end."""
MOST = 2**32
"""Bytes that an archive may become; 10,000 records have some 100 MB."""
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_PRESET = 6 | lzma.PRESET_EXTREME


def archive_of(root: Path) -> bytes:
    """Return the archive of a run folder; the same files give the same bytes (under one version of xz).

    Raises:
        RecordError: a file of it cannot be read, or has a name that no run gives.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in _files(root):
            data = read_file(path, MOST_TEXT)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return lzma.compress(raw.getvalue(), preset=_PRESET)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    yield from ((name, root / name) for name in HEADS if is_regular(root / name))
    for folder, suffix in FOLDERS.items():
        for path in listed(root, folder, suffix):
            if _NAME.fullmatch(path.name) is None:
                raise RecordError(f"{path} has a name that no run gives; remove it")
            yield f"{folder}/{path.name}", path


def unpack_archive(archive: Path, root: Path) -> None:
    """Make a run folder of an archive.

    Args:
        archive: the file.
        root: an empty folder.

    Raises:
        RecordError: the file is damaged, or holds what no run folder does.
    """
    left = MOST
    try:
        with lzma.open(io.BytesIO(read_file(archive))) as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
            for entry in tar:
                left -= entry.size
                if left < 0:
                    raise RecordError(f"{archive} holds more than {MOST} bytes, which no run needs; do not use it")
                if not _known(entry):
                    raise RecordError(f"{archive} holds {entry.name[:80]!r}, which is no file of a run; do not use it")
                content = tar.extractfile(entry)
                _write(inside(root, entry.name), content.read() if content else b"")
            while raw.read(2**20):  # to its end, where the checksum is
                pass
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError, FileExistsError) as error:
        raise RecordError(f"{archive} is damaged ({error}); take another copy") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file of a temporary folder, which need not survive a failing machine; twice the same name is an error."""
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        file.write(data)


def _known(entry: tarfile.TarInfo) -> bool:
    folder, _, name = entry.name.rpartition("/")
    named = entry.name in HEADS or (
        folder in FOLDERS and name.endswith(FOLDERS[folder]) and _NAME.fullmatch(name) is not None
    )
    return named and entry.isreg() and entry.size <= MOST_TEXT


@contextmanager
def run_folder(path: Path) -> Iterator[Path]:
    """Yield a folder as `RunStore` reads it.

    Args:
        path: a run folder, which is yielded as it is, or an archive or the folder of one, which is unpacked until the
            context ends.
    """
    archive = path if path.name.endswith(".tar.xz") else path / FILE
    if (path / MARKER).exists() or not is_regular(archive):
        yield path
        return
    with TemporaryDirectory(prefix="quantdg-records-") as made:
        unpack_archive(archive, Path(made))
        yield Path(made)


def beside(path: Path) -> Path:
    """Return the folder in which what is made of ``path``, as of `run_folder`, is put: itself, or that of an archive."""
    return path if path.is_dir() else path.parent
