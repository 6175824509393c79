"""Real handwritten digits in eight artificial styles: a data set that needs no download.

The 1797 digits of 8x8 pixels that scikit-learn ships (a UCI test set, 43 writers) are dealt out to eight domains, every
digit to one of them only, as RotatedMNIST does. The handwriting is real, the shift is made here. Use it to check the
machinery and for a first hint; it is no evidence on natural images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, MissingPackageError
from .base import Domain, DomainDataset
from .fingerprint import content_fingerprint
from .sampling import raw_words
from .severity import check_severity
from .warp import Ints, dilate, smooth, warp

_SEED = 20240817  # of everything drawn here; changing it makes another data set


def _draw(shape: tuple[int, ...], low: int, high: int, stream: int) -> Ints:
    """Integers low..high, both included."""
    words = raw_words(int(np.prod(shape)), _SEED, stream)
    span = np.uint64(high - low + 1)
    return ((words >> np.uint64(32)) % span).astype(np.int64).reshape(shape) + low


def _blend(ink: Ints, ground: Ints, stroke: Ints) -> Ints:
    """Paint with ``stroke`` (N, S, S), 0..255, from ``ground`` to ``ink``, both broadcast to (N, 3, S, S)."""
    cover = stroke[:, None]
    return (ink * cover + ground * (255 - cover) + 127) // 255


def _upright(glyphs: Ints, size: int, zoom: float = 0.9) -> Ints:
    return warp(glyphs, size, np.zeros(len(glyphs), dtype=np.int64), zoom)


def _gray(stroke: Ints) -> Ints:
    return np.repeat(stroke[:, None], 3, axis=1)


def _away(values: Ints, start: Ints | int, severity: float) -> Ints:
    """Values 0..255 at ``severity`` times their distance from ``start``; at 1 the values themselves."""
    return np.rint(start + severity * (values - start)).astype(np.int64).clip(0, 255)


def _faint(glyphs: Ints, size: int, severity: float) -> Ints:
    """Gray ink of varying strength on black; full at severity 0."""
    ink = _away(_draw((len(glyphs), 1, 1, 1), 70, 210, 16), 255, severity).clip(20)
    return np.repeat(_blend(ink, np.array(0), _upright(glyphs, size)), 3, axis=1)


def _rotated(glyphs: Ints, size: int, severity: float) -> Ints:
    """Turned counter-clockwise by 10 to 25 degrees, times the severity."""
    degrees = np.rint(severity * _draw((len(glyphs),), 10, 25, 11)).astype(np.int64)
    return _gray(warp(glyphs, size, degrees, 0.9))


def _coloured(glyphs: Ints, size: int, severity: float) -> Ints:
    """Bright ink of a random colour on a dark ground of another, or the other way round; grays at severity 0."""
    bright = _draw((len(glyphs), 3, 1, 1), 150, 255, 13)
    dark = _draw((len(glyphs), 3, 1, 1), 0, 100, 14)
    swap = _draw((len(glyphs), 1, 1, 1), 0, 3, 15) == 0
    bright, dark = (_away(ink, ink.sum(axis=1, keepdims=True) // 3, severity) for ink in (bright, dark))
    return _blend(np.where(swap, dark, bright), np.where(swap, bright, dark), _upright(glyphs, size))


def _thick(glyphs: Ints, size: int, severity: float) -> Ints:
    """Smaller, and the stroke widened by one pixel on every side; the severity is the brightness of what is added."""
    thin = _upright(glyphs, size, 0.8)
    return _gray(_away(dilate(thin), thin, severity))


def _noisy(glyphs: Ints, size: int, severity: float) -> Ints:
    """Gray noise on every pixel, the sum of two even draws (standard deviation 49), cut at black and white."""
    noise = _draw((2, len(glyphs), size, size), -60, 60, 18).sum(axis=0)
    clean = _upright(glyphs, size)
    return _gray(_away(clean + noise, clean, severity))


def _blurred(glyphs: Ints, size: int, severity: float) -> Ints:
    """Out of focus: smoothed three times the severity, the last time in part."""
    whole, part = divmod(3 * severity, 1)
    stroke = _upright(glyphs, size)
    for _ in range(int(whole)):
        stroke = smooth(stroke)
    return _gray(_away(smooth(stroke), stroke, part))


def _shaded(glyphs: Ints, size: int, severity: float) -> Ints:
    """White ink on a ground that brightens from black in one corner to a gray of 160, in a direction of its own."""
    slope = _draw((len(glyphs), 2, 1, 1), -100, 100, 21)
    offset = 2 * np.arange(size, dtype=np.int64) - (size - 1)
    ramp = slope[:, 0] * offset[:, None] + slope[:, 1] * offset
    most = np.abs(slope).sum(axis=1) * (size - 1) + 1
    ground = _away((ramp + most) * 80 // most, 0, severity).clip(0, 235)
    return np.repeat(_blend(np.array(255), ground[:, None], _upright(glyphs, size)), 3, axis=1)


def _thin(glyphs: Ints, size: int, severity: float) -> Ints:
    """Smaller, and the stroke narrowed by one pixel on every side; the severity is how dark what is taken becomes."""
    stroke = _upright(glyphs, size, 0.85)
    core = 255 - dilate(255 - stroke)
    return _gray(_away(core, stroke, severity))


STYLES: dict[str, Callable[[Ints, int, float], Ints]] = {
    "faint": _faint,
    "rotated": _rotated,
    "coloured": _coloured,
    "thick": _thick,
    "noisy": _noisy,
    "blurred": _blurred,
    "shaded": _shaded,
    "thin": _thin,
}


def _deal(labels: NDArray[np.int64], hands: int) -> list[NDArray[np.int64]]:
    """Indices shuffled and dealt out, each class evenly over the hands."""
    order = np.lexsort((raw_words(len(labels), _SEED, 10), labels))
    return [np.sort(order[hand::hands]) for hand in range(hands)]


def _source() -> tuple[Ints, Ints]:
    """The file of scikit-learn's `load_digits`, (1797, 8, 8) of 0..16 and labels; importing the library takes a second."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingPackageError("dataset digits needs scikit-learn: pip install scikit-learn")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.exists():
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits as load_source  # noqa: PLC0415  (slow to import)

    source: Any = load_source()
    return source.images.astype(np.int64), source.target.astype(np.int64)


def load_digits_domains(size: int = 16, severity: float = 1.0) -> DomainDataset:
    """Build the eight domains; the same bytes on every machine.

    Args:
        size: side of the images, pixels, 8..64.
        severity: of the shift, above 0 and at most 2: weakness of the ink, angle, strength of the colours, of what widens
            or narrows a stroke, of noise, blur and shade.

    Returns:
        Domains faint, rotated, coloured, thick, noisy, blurred, shaded, thin with 224 or 225 images each, uint8,
        shape (N, 3, size, size); classes "0".."9".

    Raises:
        ConfigError: the size or the severity is out of range.
        MissingPackageError: scikit-learn is missing.
    """
    if not 8 <= size <= 64:
        raise ConfigError(f"digits come in sizes 8..64, got {size}; write size: 16")
    check_severity(severity, most=2)
    pixels, labels = _source()
    glyphs = pixels * 255 // 16
    domains = tuple(
        Domain(name, style(glyphs[mine], size, severity).astype(np.uint8), labels[mine])
        for (name, style), mine in zip(STYLES.items(), _deal(labels, len(STYLES)), strict=True)
    )
    return DomainDataset("digits", domains, tuple("0123456789"), content_fingerprint(domains))


def load_digits(
    name: str, *, root: Path | None = None, cache_dir: Path | None = None, size: int = 16, severity: float = 1.0
) -> DomainDataset:
    """Do as ``load_digits_domains`` with the signature of every loader.

    Args:
        name: of the data set.
        root: ignored.
        cache_dir: ignored.
        size: side of the images, pixels, 8 to 64.
        severity: of the shift, above 0 and at most 2.
    """
    return replace(load_digits_domains(size, severity), name=name)
