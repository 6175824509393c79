"""Gain over float against the number of bits of the weights, and against the noise that the audit measured."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bench.results.record import HEADLINE
from ..frames import gains
from ..frames.columns import METHOD, Section, of_section
from ..frames.cube import Method
from ..frames.results import Results
from .fields import PANEL, Field, Figure, fields
from .lines import Axis, lines

_BITS = re.compile(r"^W(\d+)(.*)$")
_CAPTION = "Mean over all (target, seed) pairs, complete methods only, weights that source validation selects."
_GAIN = Axis("gain", "gain over float, points", "+.2f")


def gain_by_bits_figures(results: Results) -> Iterator[Figure]:
    """Draw the gain of each quantizer that was run at several widths."""
    for field in fields(results):
        rows = by_bits(field)
        if rows:
            chart = lines(
                rows,
                [*dict.fromkeys(row["quantizer"] for row in rows)],
                Axis("bits", "bits of a weight"),
                _GAIN,
                zero=True,
                points=True,
            )
            yield field.finished(chart, "gain-by-bits", "Gain by bits", caption=_CAPTION, rows=rows)


def gain_by_noise_figures(results: Results) -> Iterator[Figure]:
    """Draw the gain against the noise-to-signal ratio of the weights, the median over the cells of a method."""
    for field in fields(results):
        rows = by_noise(field)
        if rows:
            axis = Axis("noise", "noise-to-signal ratio of the weights, measured")
            chart = lines(rows, _names(field), axis, _GAIN, zero=True, points=True)
            yield field.finished(chart, "gain-by-noise", "Gain by noise", caption=_CAPTION, rows=rows)


def _names(field: Field) -> list[str]:
    """Quantizers without bits, in reading order."""
    return [*dict.fromkeys(method[1] for _, cube in field.cubes for method in cube.methods)]


def _gains(field: Field) -> Iterator[tuple[Section, Method, float]]:
    """Mean gain of each complete method."""
    for section, cube in field.cubes:
        for method, values in gains.over_float(cube, HEADLINE):
            mean = gains.summarise(values).mean
            if np.isfinite(mean):
                yield section, method, mean


def by_bits(field: Field) -> list[dict[str, Any]]:
    """List bits and gain of the quantizers that were run at several widths of the weights, each width of activations apart."""
    rows: list[dict[str, Any]] = []
    for section, (algorithm, quantizer, bits, _), mean in _gains(field):
        match = _BITS.match(bits)
        if match:
            name = f"{quantizer} {match.group(2)}".strip()
            named = {PANEL: field.panel(section, algorithm), "quantizer": name}
            rows.append({**named, "bits": int(match.group(1)), "gain": mean})
    widths = Counter((row[PANEL], row["quantizer"]) for row in rows)
    return [row for row in rows if widths[row[PANEL], row["quantizer"]] > 1]


def by_noise(field: Field) -> list[dict[str, Any]]:
    """List measured noise and gain of each quantizer, its widths joined."""
    noise = {
        section: of_section(field.results.audit, section).groupby(METHOD)["noise"].median()
        for section in field.sections
    }
    rows: list[dict[str, Any]] = []
    for section, (algorithm, quantizer, bits, _), mean in _gains(field):
        at = noise[section].get((algorithm, quantizer, bits))
        if at is not None and np.isfinite(at):
            named = {PANEL: field.panel(section, algorithm), "quantizer": quantizer, "bits": bits}
            rows.append({**named, "noise": float(at), "gain": mean})
    return rows
