"""Image files to equal-sized uint8 arrays, in parallel and in order."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.machine import usable_cores

# what Pillow's readers raise on files that are not what they claim
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    EOFError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_WINDOW = 256  # images decoded ahead of the writer; bounds the memory


@dataclass(frozen=True)
class Decoded:
    """This is one image after decoding.

    Attributes:
        pixels: uint8, shape (3, size, size); zeros where ``error`` is set.
        digest: SHA-256 of the file.
        error: why it cannot be read; empty if it can.
    """

    pixels: NDArray[np.uint8]
    digest: bytes
    error: str = ""


def decode(path: Path, size: int) -> Decoded:
    """Read one image as torchvision's ImageFolder and ``Resize((size, size))`` do: RGB, bilinear, antialiased."""
    try:
        content = path.read_bytes()
        if not content:
            raise ValueError("the file has 0 bytes")
        with Image.open(io.BytesIO(content)) as image:
            resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except _BROKEN as error:
        return Decoded(np.zeros((3, size, size), dtype=np.uint8), b"", f"{type(error).__name__}: {error}")
    pixels = np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))
    return Decoded(pixels, hashlib.sha256(content).digest())


def decode_all(paths: Sequence[Path], size: int, workers: int | None = None) -> Iterator[Decoded]:
    """Decode in order with threads: Pillow lets go of the interpreter lock while it decodes and resizes.

    Args:
        paths: files.
        size: side of the results, pixels.
        workers: threads; None takes one per usable core, at most 16.
    """
    with ThreadPoolExecutor(workers or min(16, usable_cores())) as pool:
        for start in range(0, len(paths), _WINDOW):
            yield from pool.map(lambda path: decode(path, size), paths[start : start + _WINDOW])
