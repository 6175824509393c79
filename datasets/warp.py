"""Geometry on small gray images in integer arithmetic: the same bytes on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_UNIT = 4096  # fixed-point one


def _pixel(images: Ints, row: Ints, column: Ints) -> Ints:
    n, height, width = images.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    which = np.arange(n)[:, None, None]
    values: Ints = images[which, row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.where(inside, values, 0)


def warp(images: Ints, size: int, degrees: Ints, zoom: float) -> Ints:
    """Rotate about the centre and resize, bilinear, zeros outside.

    Args:
        images: int64, shape (N, S, S), non-negative.
        size: side of the result, pixels.
        degrees: int64, shape (N,), counter-clockwise.
        zoom: share of the result's side that the source's side covers.

    Returns:
        int64, shape (N, size, size), in the range of ``images``.
    """
    side = images.shape[1]
    step = side / (size * zoom)  # source pixels per pixel of the result
    radians = np.deg2rad(degrees)
    cos = np.rint(np.cos(radians) * step * _UNIT).astype(np.int64)[:, None, None]
    sin = np.rint(np.sin(radians) * step * _UNIT).astype(np.int64)[:, None, None]
    offset = 2 * np.arange(size, dtype=np.int64) - (size - 1)  # from the centre, in half pixels
    y, x = offset[None, :, None], offset[None, None, :]
    centre = (side - 1) * _UNIT // 2
    row, column = centre + (cos * y + sin * x) // 2, centre + (cos * x - sin * y) // 2
    top, left, down, right = row // _UNIT, column // _UNIT, row % _UNIT, column % _UNIT
    upper = _pixel(images, top, left) * (_UNIT - right) + _pixel(images, top, left + 1) * right
    lower = _pixel(images, top + 1, left) * (_UNIT - right) + _pixel(images, top + 1, left + 1) * right
    out: Ints = (upper * (_UNIT - down) + lower * down + _UNIT * _UNIT // 2) // (_UNIT * _UNIT)
    return out


def dilate(images: Ints) -> Ints:
    """Take the largest value of every pixel and its four neighbours; shape and range stay."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    shifts = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    out = images
    for shifted in shifts:
        out = np.maximum(out, shifted)
    return out


def smooth(images: Ints) -> Ints:
    """Average every pixel with its eight neighbours, weights 1, 2, 1 along each side, zeros outside; the shape stays."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    out: Ints = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:] + 8) // 16
    return out
