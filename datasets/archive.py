"""The files of a zip or tar archive, read to its very end: a checksum that nobody looks at finds nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

from ..core.errors import DataError

DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # a password, or nested too deep
    NotImplementedError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    TypeError,
    struct.error,
)
"""What the readers raise on files that are not what they claim."""
MOST_PARTS = 64
_BLOCK = 1 << 20
_MOST_HEADER = 16 * _BLOCK
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class Member(NamedTuple):
    """A file inside: where it belongs, its size in bytes as declared, which no reader exceeds, and its content."""

    path: PurePosixPath
    size: int
    file: IO[bytes]


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or "\0" in name:
        raise DataError(f"{archive} has an entry {name!r} outside of its own folder; do not use this archive")
    if not 0 < len(path.parts) <= MOST_PARTS:
        raise DataError(
            f"{archive} has an entry of {len(path.parts)} names, 1 to {MOST_PARTS} make a file; fetch it again"
        )
    return path


def _zip_members(archive: Path, source: zipfile.ZipFile) -> Generator[Member, None, None]:
    for info in source.infolist():
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{archive} has a link {info.filename!r}; unpack it by hand if you trust it")
        path = _safe(archive, info.filename)
        if not info.is_dir():
            with source.open(info) as file:
                yield Member(path, info.file_size, file)


class _Remembering:
    """A stream that keeps what was read last: tarfile takes a header that it cannot read for the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.last = stream, b""
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_HEADER:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        self.last = self.stream.read(size)
        return self.last


def _tar_members(archive: Path, stream: IO[bytes]) -> Generator[Member, None, None]:
    seen = _Remembering(stream)
    with tarfile.TarFile(fileobj=cast(IO[bytes], seen)) as source:
        for info in source:
            if info.isdir():
                continue
            file = None if info.issparse() or not info.isreg() else source.extractfile(info)
            if file is None:
                raise DataError(
                    f"{archive} has a link, device or sparse file {info.name!r}; unpack it by hand if you trust it"
                )
            yield Member(_safe(archive, info.name), info.size, file)
    if len(seen.last) < tarfile.BLOCKSIZE or any(seen.last):
        raise tarfile.ReadError("it breaks off, or a header in it cannot be read")
    while block := stream.read(_BLOCK):  # to the end, where the checksum of a compressed one is
        if block.count(0) != len(block):
            raise tarfile.ReadError("something follows its end")


def _tar_stream(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        head = file.read(6)
    opener: Any = next((opens for magic, opens in _COMPRESSED.items() if head.startswith(magic)), open)
    stream: IO[bytes] = opener(archive, "rb")
    return stream


def _is_tar(archive: Path) -> bool:
    try:
        return tarfile.is_tarfile(archive)
    except (OSError, *DAMAGED):
        return False


@contextmanager
def members(archive: Path) -> Iterator[Iterator[Member]]:
    """Open an archive and yield its files one after the other; each is to be read before the next.

    Raises:
        DataError: it is no archive, or an entry is a link, a device, without a name or outside of its own folder.
        DAMAGED: it is damaged; also at the end of the iteration.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped, closing(_zip_members(archive, zipped)) as found:
            yield found
    elif _is_tar(archive):
        with _tar_stream(archive) as stream, closing(_tar_members(archive, stream)) as found:
            yield found
    else:
        raise DataError(f"{archive} is neither a zip nor a tar archive; fetch it again")
