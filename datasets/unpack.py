"""Unpack a zip or tar archive: every path stays inside the target, which appears only when complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

from ..core.errors import DataError
from .archive import DAMAGED, Member, members

SHARE = 0.95
"""Of the free space that an archive may fill."""


def unpack(archive: Path, target: Path) -> Path:
    """Unpack into the new folder ``target``; links are refused, devices and permissions are not taken over.

    Raises:
        DataError: ``target`` exists, the archive is missing, damaged, of another kind, larger than the disk or has
            entries that point outside, or the disk is full. Nothing is left behind then.
    """
    if target.exists():
        raise DataError(f"{target} exists already; remove it to unpack {archive.name} again")
    if not archive.is_file():
        raise DataError(f"no archive {archive}; fetch it first")
    work = target.with_name(f".unpack-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        work.mkdir(parents=True)
        free, total = shutil.disk_usage(work).free, 0
        with members(archive) as found:
            for member in found:
                total += member.size
                if total > SHARE * free:
                    raise DataError(
                        f"{archive} unpacks to {total / 2**30:.3g} GiB or more, {free / 2**30:.3g} GiB are free; free some space"
                    )
                _write(member, work / member.path)
        work.rename(target)
    except DAMAGED as error:
        raise DataError(f"{archive} is damaged: {error or type(error).__name__}; fetch it again") from error
    except OSError as error:
        raise DataError(_said(archive, target, error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(member.file, out, 1 << 20)


def _said(archive: Path, target: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"cannot unpack {archive} to {target}: {error.strerror}; free some space"
    if error.errno in (None, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL):
        return f"{archive} is damaged: {error.strerror or error}; fetch it again"
    return f"cannot unpack {archive} to {target}: {error.strerror or error}; make the folder writable"
