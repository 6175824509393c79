"""The original MNIST idx files and the two environments-from-MNIST helpers: shuffle and coin flips."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, DataError
from .sampling import raw_words

_SHUFFLE, _NOISE, _COLOUR = 1, 2, 1000  # Philox streams; colour counts up by environment


def _read_idx(folder: Path, name: str, magic: int) -> NDArray[np.uint8]:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        whole = plain.is_file()
        if not whole and not packed.is_file():
            raise DataError(
                f"no MNIST file {plain} (nor .gz); put the four idx files there or set data.root above MNIST/"
            )
        content = plain.read_bytes() if whole else gzip.decompress(packed.read_bytes())
    except PermissionError as error:
        raise DataError(f"cannot read {plain} (or .gz): {error.strerror}; change its permissions") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {plain} (or .gz): {error}; mount the folder or fetch the file again") from error
    rank = magic & 255
    start = content[: 4 * (1 + rank)]
    header = np.frombuffer(start if len(start) == 4 * (1 + rank) else b"", ">i4")
    if len(header) == 0 or header[0] != magic:
        raise DataError(f"{plain} is no idx file of magic {magic:#06x}; fetch the file again")
    shape = tuple(int(n) for n in header[1:])
    body = content[4 * (1 + rank) :]
    if min(shape) < 0 or len(body) != math.prod(shape):
        raise DataError(f"{plain} announces shape {shape} and holds {len(body)} bytes; fetch the file again")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_mnist(root: Path | None, test: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read images (N, 28, 28) and labels (N,), training set first, then, if ``test``, the test set.

    Args:
        root: folder that holds ``MNIST/raw/*-ubyte``, as torchvision writes them; ``.gz`` is read too.
        test: whether to append the test set.

    Raises:
        DataError: a file is missing or damaged.
    """
    if root is None:
        raise DataError("MNIST is read from disk; set data.root to the folder that holds MNIST/raw")
    raw = Path(root) / "MNIST" / "raw"
    parts = ("train", "t10k") if test else ("train",)
    images = [_read_idx(raw, f"{part}-images-idx3-ubyte", 0x803) for part in parts]
    labels = [_read_idx(raw, f"{part}-labels-idx1-ubyte", 0x801) for part in parts]
    if [len(i) for i in images] != [len(k) for k in labels]:
        raise DataError(f"{raw} holds {[len(i) for i in images]} images and {[len(k) for k in labels]} labels")
    if (largest := max(int(k.max(initial=0)) for k in labels)) > 9:
        raise DataError(f"labels of {raw} must be digits, the largest is {largest}; fetch the files again")
    return np.concatenate(images), np.concatenate(labels).astype(np.int64)


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Return a permutation of ``range(count)``, the same on every machine and in every version of numpy."""
    return np.argsort(raw_words(count, seed, _SHUFFLE), kind="stable").astype(np.int64)


def _coin(count: int, probability: float, seed: int, stream: int) -> NDArray[np.bool_]:
    if not 0 <= probability <= 1:
        raise ConfigError(f"a probability lies in 0..1, got {probability}; write 0.25 for a quarter")
    unit = (raw_words(count, seed, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return unit < probability


def colour(
    images: NDArray[np.uint8], digits: NDArray[np.int64], flip: float, noise: float, seed: int, env_index: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Make two-channel images whose colour predicts a noisy binary label: the construction of ColoredMNIST.

    label = (digit < 5) xor Bernoulli(noise); colour = label xor Bernoulli(flip); channel ``1 - colour`` is blackened.

    Args:
        images: uint8, (N, H, W).
        digits: int64, (N,), 0..9.
        flip: probability that the colour contradicts the label.
        noise: probability that the label is wrong.
        seed: of the coins.
        env_index: of the environment, which has coins of its own.

    Returns:
        Images (N, 2, H, W) and labels (N,) in {0, 1}.
    """
    labels = (digits < 5) ^ _coin(len(digits), noise, seed, _NOISE + 10 * env_index)
    colours = labels ^ _coin(len(digits), flip, seed, _COLOUR + env_index)
    out = np.repeat(images[:, None], 2, axis=1)
    out[np.arange(len(out)), 1 - colours.astype(np.int64)] = 0
    return out, labels.astype(np.int64)
