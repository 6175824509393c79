"""iWildCam of WILDS: photographs of animals by 323 cameras, which are dealt out to a few domains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..core.errors import ConfigError, DataError
from .base import DomainDataset
from .listed import Split, check_size, check_split, find_root
from .scan import choose_domains
from .wilds import Row, check_values, read_table, rows_dataset

COLUMNS = ("split", "location_remapped", "y", "filename")
PARTS = ("train", "id_val", "val", "test", "id_test")
TARGET = "test"


def _species(base: Path, numbers: pd.Series) -> list[str]:
    """Names by official number, and the number itself where ``categories.csv`` has no name of its own for it."""
    if not pd.api.types.is_integer_dtype(numbers) or numbers.min() < 0:
        raise DataError(
            f"column y of {base / 'metadata.csv'} must hold whole numbers from 0; fetch WILDS' archive again"
        )
    categories = read_table(base / "categories.csv", ("y", "name"))
    known = dict(zip(categories["y"], categories["name"].astype(str), strict=True))
    names = [known.get(y, str(y)) for y in range(int(numbers.max()) + 1)]
    return [name if names.count(name) == 1 else f"{name} {y}" for y, name in enumerate(names)]


def _official(table: pd.DataFrame, groups: int) -> pd.Series:
    """The domain of each image by the official split."""
    mine = table["split"].isin(["train", "id_val"])
    return _dealt(table["location_remapped"].where(mine), "train", groups).where(mine, table["split"])


def _dealt(cameras: pd.Series, word: str, groups: int) -> pd.Series:
    group = {camera: f"{word}_{k % groups + 1}" for k, camera in enumerate(sorted(cameras.dropna().unique()))}
    return cameras.map(group)


def load_iwildcam(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None,
    size: int,
    folder: str = "iwildcam_v2.0",
    domains: Sequence[str] | None = None,
    split: Split = "official",
    groups: int = 4,
) -> DomainDataset:
    """Load the official folder of 203,029 photographs of 182 classes.

    One domain for each camera would be a batch for each of 243 in every step, so the n-th camera, by number, goes to group n modulo
    ``groups``: our reading of WILDS' domains for algorithms with a batch for each domain.

    Args:
        name: of the data set.
        root: the data set's folder or the one above it.
        cache_dir: where the decoded images are kept; None keeps them in memory, 3 * size**2 bytes each.
        size: side of the images, pixels, 8..1024; WILDS trains on 448.
        folder: of the data set, below ``root``.
        domains: the domains to use, in index order. The official split has train_1, train_2, ..., val and test, None takes all of
            them but val; otherwise there are cameras_1, cameras_2, ...
        split: official: ``test`` is the target, sources are groups of the training cameras with their ``id_val`` held out, and
            ``id_test`` is part of nothing. domainbed: groups of all cameras with all their images, any target, a fifth of each.
        groups: of cameras, 2 to 100.

    Returns:
        uint8 images (N, 3, size, size), those of a domain in the order of the table; classes by their official number, whether a
        domain has them or not; ImageNet's mean and std.

    Raises:
        DataError: a table or an image is missing or damaged.
        UnknownNameError: a name in ``domains`` is not one of those above.
        ConfigError: the size, the split or the number of groups is not one of those above.
    """
    check_size(size)
    check_split(split)
    if not 2 <= groups <= 100:
        raise ConfigError(f"dataset.groups must be 2 to 100 groups of cameras, got {groups}; write dataset.groups=4")
    base = find_root(name, root, folder)
    file = base / "metadata.csv"
    table = read_table(file, COLUMNS)
    check_values(file, table["split"], PARTS)
    classes = _species(base, table["y"])
    official = split == "official"
    own = [f"{'train' if official else 'cameras'}_{k + 1}" for k in range(groups)]
    place = _official(table, groups) if official else _dealt(table["location_remapped"], "cameras", groups)
    rows = [
        Row(f"train/{filename}", domain, classes[y], part == "id_val")
        for domain, part, y, filename in zip(place, table["split"], table["y"], table["filename"], strict=True)
    ]
    chosen = choose_domains(
        base, [*own, "val", TARGET] if official else own, domains, [*own, TARGET] if official else own
    )
    target = TARGET if official else None
    return rows_dataset(name, base, rows, chosen, classes, size, cache_dir=cache_dir, target=target)
