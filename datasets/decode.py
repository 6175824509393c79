"""Image files to equal-sized uint8 arrays, in parallel and in order."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

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
        digest: SHA-256 of the file; of an image with 16 bits another one, since earlier versions read it as white.
        error: why it cannot be read; empty if it can.
    """

    pixels: NDArray[np.uint8]
    digest: bytes
    error: str = ""


def decode(read: Callable[[], bytes], size: int) -> Decoded:
    """Decode one image file as torchvision's ImageFolder and ``Resize((size, size))`` do: RGB, bilinear, antialiased.

    Gray images of 16 bits are reduced to 8 first, which ImageFolder does not.

    Args:
        read: returns the content of the file; what it raises for a file that cannot be read becomes the error.
        size: side of the result, pixels.
    """
    try:
        content = read()
        if not content:
            raise ValueError("the file has 0 bytes")
        with _opened(content) as image:
            reduced = _eight_bits(image)
            resized = reduced.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            mark = b"" if reduced is image else b"16 bit"
    except _BROKEN as error:
        return Decoded(np.zeros((3, size, size), dtype=np.uint8), b"", f"{type(error).__name__}: {error}")
    pixels = np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))
    return Decoded(pixels, hashlib.sha256(mark + content).digest())


def _opened(content: bytes) -> Image.Image:
    """The image in a file; Pillow's own error would name a place in memory."""
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise ValueError("no known format of images") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of 16 bits a pixel with its range mapped to 8, rounded; Pillow would cut it at 255, which is white.

    Any other image is returned itself. ValueError for whole or real numbers of 32 bits, which have no range of their own.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    if not (image.mode.startswith("I;16") or image.format in ("PNG", "PPM")) or image.mode == "F":
        raise ValueError(f"pixels have 8 or 16 bits, these are of Pillow's mode {image.mode}; convert the image")
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def decode_all(read: Callable[[int], bytes], count: int, size: int, workers: int | None = None) -> Iterator[Decoded]:
    """Decode in order with threads: Pillow lets go of the interpreter lock while it decodes and resizes.

    Args:
        read: returns the content of the k-th file.
        count: files there are.
        size: side of the results, pixels.
        workers: threads; None takes one per usable core, at most 16.
    """
    with ThreadPoolExecutor(workers or min(16, usable_cores())) as pool:
        for start in range(0, count, _WINDOW):
            yield from pool.map(lambda k: decode(partial(read, k), size), range(start, min(start + _WINDOW, count)))
