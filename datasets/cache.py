"""A folder of images as one memory-mapped uint8 file, built once.

    CACHE/NAME-SIZE-KEY/images.u8    N images of 3 x SIZE x SIZE bytes
    CACHE/NAME-SIZE-KEY/meta.json    count, size, hash of the content, checksum of all this and the pixels
    CACHE/NAME-SIZE-KEY/checked.json when the checksum was last compared

KEY hashes paths, sizes and times of the files, so a changed source gets another folder; old ones may be deleted. A
build works in a hidden folder and is renamed when complete: a killed build leaves nothing that could be mistaken for
a cache, and of two builders at once the second finds the first one's result and drops its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.paths import file_name
from .cache_check import image_sum, joined_sum, note_checked, pixel_checksum, was_checked
from .decode import decode_all
from .scan import Listing

Progress = Callable[[int, int], None]
_SHOWN = 5
DECODER = 2
"""Raised whenever the same file is decoded to other pixels."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Meta:
    """This is what a cache holds beside the pixels; ``fingerprint`` is equal on every machine for equal files."""

    count: int
    size: int
    fingerprint: str
    checksum: str = ""

    @property
    def said(self) -> str:
        """The checksum covers this beside the pixels."""
        return f"{self.count} {self.size} {self.fingerprint}"


def cache_key(listing: Listing, size: int) -> str:
    """Hash what can be seen of the files without opening them, as 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{size} {len(listing.entries)} {DECODER}{listing.version}\n".encode())
    for entry in listing.entries:
        digest.update(f"{entry.path}\0{entry.bytes}\0{entry.mtime}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def write_pixels(listing: Listing, size: int, out: IO[bytes], progress: Progress | None, workers: int | None) -> Meta:
    """Decode every image to ``out``, one after the other.

    Raises:
        DataError: images that cannot be decoded, up to five by name.
    """
    content = hashlib.sha256(f"{size}\n".encode())
    broken: list[str] = []
    sums: list[bytes] = []
    total = len(listing.entries)
    decoded = decode_all(listing.read, total, size, workers=workers)
    for done, (entry, image) in enumerate(zip(listing.entries, decoded, strict=True), start=1):
        if image.error:
            broken.append(f"{listing.root / entry.path} ({image.error})")
        out.write(image.pixels.data)
        sums.append(image_sum(image.pixels))
        content.update(entry.path.encode(errors="surrogateescape") + b"\0" + image.digest)
        if progress is not None:
            progress(done, total)
    if broken:
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise DataError(
            f"{len(broken)} of {total} images cannot be read: {'; '.join(broken[:_SHOWN])}{more}; replace or remove them"
        )
    meta = Meta(total, size, content.hexdigest()[:16])
    return replace(meta, checksum=joined_sum(sums, meta.said))


def _open(folder: Path, count: int, size: int) -> tuple[Meta, NDArray[np.uint8]] | None:
    """A complete cache with the pixels that were written to it, or None."""
    try:
        meta = Meta(**json.loads((folder / "meta.json").read_text()))
        images = folder / "images.u8"
        if (meta.count, meta.size, images.stat().st_size) != (count, size, count * 3 * size * size):
            return None
        mapped = np.asarray(np.memmap(images, np.uint8, "r", shape=(count, 3, size, size)))
        if not was_checked(folder, images):
            if pixel_checksum(mapped, meta.said) != meta.checksum:
                return None
            note_checked(folder, images)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return meta, mapped


def _sweep(cache_dir: Path, host: str) -> None:
    """Remove what killed builds of this machine left behind."""
    for left in cache_dir.glob(f".build-{host}-*"):
        pid = left.name.removeprefix(f".build-{host}-").split("-")[0]
        if pid.isdecimal() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _build(folder: Path, listing: Listing, size: int, progress: Progress | None, workers: int | None) -> None:
    host = socket.gethostname().replace("-", "_")
    work = folder.parent / f".build-{host}-{os.getpid()}-{secrets.token_hex(4)}"
    count = len(listing.entries)
    try:
        work.mkdir(parents=True)
        _sweep(folder.parent, host)
        with (work / "images.u8").open("wb") as out:
            meta = write_pixels(listing, size, out, progress, workers=workers)
            out.flush()
            os.fsync(out.fileno())
        (work / "meta.json").write_text(json.dumps(asdict(meta)))
        note_checked(work, work / "images.u8")
        if folder.exists() and _open(folder, count, size) is None:
            shutil.rmtree(folder)  # damaged
        work.rename(folder)
    except OSError as error:
        if _open(folder, count, size) is not None:
            return  # another builder came first
        raise DataError(
            f"cannot write the image cache {folder} ({count * 3 * size * size / 2**20:.1f} MiB): "
            f"{error.strerror or error}; free some space or set data.cache to another disk"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def cached_images(
    name: str,
    listing: Listing,
    size: int,
    cache_dir: Path,
    progress: Progress | None = None,
    workers: int | None = None,
) -> tuple[Meta, NDArray[np.uint8]]:
    """Return the images of ``listing`` in its order, from the cache or built now.

    Returns:
        The meta data and a read-only map, uint8, shape (N, 3, size, size).

    Raises:
        DataError: an image cannot be read, or the cache cannot be written (for example the disk is full).
    """
    folder = cache_dir / f"{file_name(name)}-{size}-{cache_key(listing, size)}"
    count = len(listing.entries)
    found = _open(folder, count, size)
    if found is None:
        if folder.exists():
            _LOG.warning("quantdg: the image cache %s is not what was written there; built again", folder)
        _build(folder, listing, size, progress, workers=workers)
        found = _open(folder, count, size)
    if found is None:
        raise DataError(f"the image cache {folder} vanished while it was opened; run again")
    return found
