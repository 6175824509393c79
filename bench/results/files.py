"""Files written whole or not at all, also under a kill and on a full disk. Imports no torch.

This is code of this project because the first writer must win, and data must be on the disk (fsync) before their name is;
atomicwrites, the package that did both, is no longer maintained.
"""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from pathlib import Path

from ...core.errors import RecordError

_UMASK = os.umask(0)
os.umask(_UMASK)  # the only way to read it; mkstemp would keep results from everybody else


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


class StorageError(RecordError):
    """The run folder cannot be written to; nothing that is in it is harmed."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> StorageError:
        """Make the error with the system's reason and what to do about it."""
        advice = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some space",
            errno.EROFS: "make the folder writable",
            errno.EACCES: "make the folder writable",
        }
        action = advice.get(error.errno or 0, "repair it")
        return cls(f"cannot write to {path} ({error.strerror or error}); {action} and run the same command again")


def stop_if_disk_failed(error: Exception, place: Path) -> None:
    """Raise StorageError where an exception, or what it came from, says that the disk failed and not the work.

    Args:
        error: any exception, also of a library that only quotes the system.
        place: where something was to be written.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StorageError):
            raise cause
        if isinstance(cause, OSError) and cause.errno in _DISK:
            raise StorageError.of(place, cause) from error
        for number in _DISK:
            if os.strerror(number) in str(cause):
                raise StorageError.of(place, OSError(number, os.strerror(number))) from error
        cause = cause.__cause__ or cause.__context__


def _draft(path: Path, data: str | bytes, *, flushed: bool = True) -> Path:
    """A temporary file beside ``path`` with the data, flushed to the disk or not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise StorageError.of(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            if flushed:
                os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StorageError.of(path, error) from error
        raise
    return Path(name)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_atomic(path: Path, data: str | bytes, *, flushed: bool = True) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, rename: whole or not at all.

    Without ``flushed`` a power failure may leave an empty file: for what is made again from records in a moment, by the hundred.
    Raises StorageError where the disk is full or the folder cannot be written.
    """
    draft = _draft(path, data, flushed=flushed)
    try:
        os.replace(draft, path)
        if flushed:
            _sync_folder(path.parent)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StorageError.of(path, error) from error
        raise


def write_first(path: Path, data: str | bytes) -> bool:
    """Write like `write_atomic`, but never in place of a file; returns whether this one was first."""
    draft = _draft(path, data)
    try:
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise StorageError.of(path, error) from error
            if path.exists():  # a file system without hard links: the leases alone keep others away
                return False
            os.replace(draft, path)
        _sync_folder(path.parent)
        return True
    finally:
        draft.unlink(missing_ok=True)


def remove(*paths: Path) -> None:
    """Delete files that may be there; a folder in their place is put aside under a hidden name. Raises StorageError."""
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                path.rename(path.with_name(f".{path.name}.{uuid.uuid4().hex}.aside"))
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError.of(path, error) from error
