"""Whether the pixels of an image cache are those that were written; looked at once an hour, not at every start."""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.machine import usable_cores

CHECK_SECONDS = 3600.0
"""A check is believed for so long, as long as the file looks untouched."""
_ROWS = 1024


def image_sum(image: NDArray[np.uint8]) -> bytes:
    """Return the CRC-32 of one image, 4 bytes."""
    return struct.pack("<I", zlib.crc32(np.ascontiguousarray(image).data))


def joined_sum(sums: Iterable[bytes], said: str) -> str:
    """Return the checksum of a cache from those of its images, in order, and what is said of it, as 8 digits."""
    return f"{zlib.crc32(b''.join(sums) + said.encode()):08x}"


def pixel_checksum(images: NDArray[np.uint8], said: str) -> str:
    """Return the `joined_sum` of images, shape (N, 3, size, size), with a thread for each core, at most 16."""
    starts = range(0, len(images), _ROWS)
    with ThreadPoolExecutor(min(16, usable_cores())) as pool:
        parts = pool.map(lambda start: b"".join(map(image_sum, images[start : start + _ROWS])), starts)
        return joined_sum(parts, said)


def was_checked(folder: Path, images: Path) -> bool:
    """Return whether a check of less than `CHECK_SECONDS` ago saw the file as it is now."""
    try:
        stamp = folder / "checked.json"
        age = time.time() - stamp.stat().st_mtime
        return 0 <= age < CHECK_SECONDS and bool(json.loads(stamp.read_text()) == _look(images))
    except (OSError, ValueError, RecursionError):
        return False


def note_checked(folder: Path, images: Path) -> None:
    """Note that the file is right as it is now; where the folder cannot be written, it is checked each time."""
    draft = folder / f".checked-{os.getpid()}"
    with suppress(OSError):
        draft.write_text(json.dumps(_look(images)))
        draft.replace(folder / "checked.json")


def _look(images: Path) -> list[int]:
    status = images.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
