"""Camelyon17 of WILDS: patches of lymph nodes from five hospitals, with a tumour in their centre or without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .base import DomainDataset
from .listed import Split, check_size, check_split, find_root
from .scan import choose_domains
from .wilds import Row, check_values, read_table, rows_dataset

COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center", "split")
CLASSES = ("normal", "tumor")
TEST, VALIDATION = 2, 1
"""The official hospitals, counted from 0; the paper counts otherwise."""


def _row(patient: str, node: int, x: int, y: int, *rest: int) -> Row:
    tumor, center, part = rest
    slide = f"patient_{patient}_node_{node}"
    held_out = part == 1 and center not in (TEST, VALIDATION)
    return Row(f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png", f"hospital_{center}", CLASSES[tumor], held_out)


def load_camelyon17(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None,
    size: int,
    folder: str = "camelyon17_v1.0",
    domains: Sequence[str] | None = None,
    split: Split = "official",
) -> DomainDataset:
    """Load the official folder of 455,954 patches.

    Args:
        name: of the data set.
        root: the data set's folder or the one above it.
        cache_dir: where the decoded images are kept; None keeps them in memory, 3 * size**2 bytes each.
        size: side of the images, pixels, 8..1024; they have 96.
        folder: of the data set, below ``root``.
        domains: the domains to use, in index order; None takes all, of the official split without hospital_1.
        split: official: hospital_2 is the target, and of the sources 0, 3 and 4 those images are held out that the table says;
            hospital_1 is WILDS' validation set of other domains, and part of nothing. domainbed: any target, a fifth of each.

    Returns:
        uint8 images (N, 3, size, size), domains by name, images of a domain in the order of the table; ImageNet's mean and std.

    Raises:
        DataError: the table or an image is missing or damaged.
        UnknownNameError: a name in ``domains`` is no hospital of the table.
        ConfigError: the size or the split is not one of those above.
    """
    check_size(size)
    check_split(split)
    base = find_root(name, root, folder)
    file = base / "metadata.csv"
    table = read_table(file, COLUMNS, index_col=0, dtype={"patient": str})
    check_values(file, table["tumor"], (0, 1))
    check_values(file, table["split"], (0, 1))
    check_values(file, table["center"], range(5))
    rows = [_row(*values) for values in table.itertuples(index=False, name=None)]
    present = sorted({row.domain for row in rows})
    official = split == "official"
    usual = [domain for domain in present if not (official and domain == f"hospital_{VALIDATION}")]
    chosen = choose_domains(base, present, domains, usual)
    target = f"hospital_{TEST}" if official else None
    return rows_dataset(name, base, rows, chosen, CLASSES, size, cache_dir=cache_dir, target=target)
