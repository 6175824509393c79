"""Unpack a zip or tar archive: every path stays inside the target, which appears only when complete."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from ..core.errors import DataError

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, RuntimeError, NotImplementedError)


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or "\0" in name:
        raise DataError(f"{archive} has an entry {name!r} outside of its own folder; do not use this archive")
    return path


def _zip_members(archive: Path, source: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in source.infolist():
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{archive} has a link {info.filename!r}; unpack it by hand if you trust it")
        if not info.is_dir():
            with source.open(info) as file:
                yield info.filename, file


def _tar_members(archive: Path, source: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in source:
        file = source.extractfile(info) if info.isreg() else None
        if file is not None:
            yield info.name, file
        elif not info.isdir():
            raise DataError(f"{archive} has a link or device {info.name!r}; unpack it by hand if you trust it")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_members(archive, zipped)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarred:
            yield _tar_members(archive, tarred)
    else:
        raise DataError(f"{archive} is neither a zip nor a tar archive; fetch it again")


def unpack(archive: Path, target: Path) -> Path:
    """Unpack into the new folder ``target``; links are refused, devices and permissions are not taken over.

    Raises:
        DataError: ``target`` exists, the archive is missing, damaged, of another kind or has entries that point
            outside, or the disk is full. Nothing is left behind then.
    """
    if target.exists():
        raise DataError(f"{target} exists already; remove it to unpack {archive.name} again")
    if not archive.is_file():
        raise DataError(f"no archive {archive}; fetch it first")
    work = target.with_name(f".unpack-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        work.mkdir(parents=True)
        with _members(archive) as members:
            for name, file in members:
                path = work / _safe(archive, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as out:
                    shutil.copyfileobj(file, out, 1 << 20)
        work.rename(target)
    except _DAMAGED as error:
        raise DataError(f"{archive} is damaged: {error}; fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot unpack {archive} to {target}: {error.strerror or error}; free some space") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
