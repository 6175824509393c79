"""QT-DoG's published accuracies beside what the records hold.

Source: Javed, Le and Salzmann, QT-DoG (ICML 2025, arXiv 2410.06020): Tables 1, 4, 7, 8, 9 and 10, ResNet-50, target
accuracy in percent, mean and standard error over 3 trials (per-domain values have none).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from ..frames import gains
from ..frames.columns import FLOAT, PRIMARY
from ..frames.cube import Cube
from ..frames.results import Results
from .table import Table, traced


class Published(NamedTuple):
    """One number of the paper; ``target`` empty: mean over domains; ``bits`` as in the records' labels."""

    table: str
    dataset: str
    target: str
    quantizer: str
    bits: str
    mean: float
    se: float | None = None


_AVERAGES = {
    "pacs": ((84.7, 0.5), (87.8, 0.3)),
    "vlcs": ((77.4, 0.3), (78.4, 0.4)),
    "officehome": ((67.5, 0.5), (68.9, 0.6)),
    "terraincognita": ((46.2, 0.4), (50.8, 0.2)),
    "domainnet": ((41.2, 0.2), (45.1, 0.9)),
}
_DOMAINS = {
    ("7", "pacs"): {"art": (89.8, 89.1), "cartoon": (79.7, 82.4), "photo": (96.8, 96.9), "sketch": (72.5, 82.3)},
    ("8", "terraincognita"): {"L100": (58.2, 60.2), "L38": (38.3, 46.4), "L43": (57.1, 55.2), "L46": (35.1, 41.4)},
}
_BITS = {
    ("9, 10", "pacs"): {8: (85.0, 0.1), 6: (86.5, 0.1), 5: (85.3, 0.4), 4: (84.3, 0.3), 3: (83.3, 0.4), 2: (82.8, 0.2)},
    ("9", "terraincognita"): {8: (49.1, 0.1), 6: (49.0, 0.3), 5: (48.4, 0.2)},
}
_NOTES = (
    "Reported: QT-DoG, ResNet-50 at 224 px, 5000 steps; compare only with a protocol that matches it.",
    "The paper's ERM row averages 63.4 where it prints 63.8, and TerraIncognita's ERM is 46.2 in Table 1, 47.2 in 8.",
    "The released code freezes the rounded convolutions; the control round_freeze is its counterpart, lsq the paper's.",
)


def published() -> Iterator[Published]:
    """All numbers, in the paper's order."""
    for dataset, (erm, qtdog) in _AVERAGES.items():
        yield Published("1", dataset, "", FLOAT, "float", *erm)
        yield Published("1", dataset, "", "lsq", "W7", *qtdog)
    yield Published("4", "pacs", "", "inq", "W7", 87.4, 0.3)
    yield Published("4", "pacs", "", "obc", "W7", 83.7, 0.4)
    for (table, dataset), domains in _DOMAINS.items():
        for target, (erm_mean, qtdog_mean) in domains.items():
            yield Published(table, dataset, target, FLOAT, "float", erm_mean)
            yield Published(table, dataset, target, "lsq", "W7", qtdog_mean)
    for (table, dataset), by_bits in _BITS.items():
        for bits, value in by_bits.items():
            yield Published(table, dataset, "", "lsq", f"W{bits}", *value)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _measured(row: Published, cube: Cube) -> tuple[str, tuple[str, ...]]:
    """The number, empty where a cell is missing, and the keys behind it."""
    method = ("erm", row.quantizer, row.bits, PRIMARY)
    if method not in cube.methods:
        return "", ()
    i = cube.methods.index(method)
    values, keys = cube.accuracy[i], cube.keys[i]
    if row.target:
        at = [i for i, name in enumerate(cube.targets) if _plain(name).startswith(_plain(row.target))]
        if len(at) != 1:
            return "", ()
        values, keys = values[at], keys[at]
    mean = float(values.mean())  # NaN as soon as one cell is missing
    if math.isnan(mean):
        return "", ()
    se = gains.standard_error(values.mean(axis=0))
    return f"{mean:.1f}" if math.isnan(se) else f"{mean:.1f} ± {se:.1f}", tuple(map(str, keys.ravel()))


def published_table(results: Results) -> Table:
    """Reported and measured (ERM, source-validation selection) side by side."""
    cubes = [(section, Cube.of(cells)) for section, cells in results.sections()]
    text, numbers, behind = [], [], []
    for row in published():
        here = [(s, *_measured(row, cube)) for s, cube in cubes if _plain(s[0]) == _plain(row.dataset)]
        found = "; ".join(f"{value} ({s[1]}, {s[2]})" for s, value, _ in here if value)
        behind.append([key for _, _, keys in here for key in keys])
        reported = f"{row.mean:.1f}" + (f" ± {row.se:.1f}" if row.se is not None else "")
        target = row.target or "mean"
        text.append((row.table, row.dataset, target, row.quantizer, row.bits, reported, found or "—"))
        numbers.append((*row, found))
    columns = ["table", "data set", "target", "quantizer", "bits", "reported", "measured"]
    return Table(
        "published",
        "Reported by QT-DoG, measured here",
        pd.DataFrame(text, columns=columns),
        pd.DataFrame(numbers, columns=[*Published._fields, "measured"]),
        5,
        _NOTES,
        traced("measured", behind),
    )
