"""What the data sets of WILDS (Koh et al., ICML 2021) have in common: a folder with images and ``metadata.csv``.

WILDS has one training set of several domains, validation sets of the same domains (``id_val``) and of others (``val``), and a test
set of yet others. Here a domain is a hospital or a group of cameras, and one is held out as the target. ``split=official`` makes
that the official test set, and holds ``id_val`` out of the sources; ``val`` takes no part. ``split=domainbed`` takes all images,
any domain as target and DomainBed's fifth of each. What the official splits are is read in the code of p-lambda/wilds (MIT).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..core.errors import DataError
from .base import DomainDataset
from .listed import listed_dataset
from .scan import Entry, Listing
from .walk import state_of


class Row(NamedTuple):
    """A row is one image.

    Attributes:
        path: below the data set's folder.
        domain: name of its domain.
        label: name of its class.
        held_out: whether the official split holds it out of training.
    """

    path: str
    domain: str
    label: str
    held_out: bool


def read_table(file: Path, columns: Sequence[str], **how: Any) -> pd.DataFrame:
    """Read columns of a table of WILDS, further arguments as pandas' ``read_csv``.

    Raises:
        DataError: the file is missing or damaged, or lacks a column or a value of one.
    """
    try:
        table: pd.DataFrame = pd.read_csv(file, **how)
    except OSError as error:
        raise DataError(
            f"cannot read {file}: {error.strerror or error}; put WILDS' folder {file.parent} there"
        ) from error
    except (ValueError, IndexError) as error:
        raise DataError(f"cannot read {file}: {error}; fetch WILDS' archive again") from error
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        raise DataError(
            f"{file} must have the columns {', '.join(columns)} of WILDS, it lacks {', '.join(lacking)}; fetch WILDS' archive "
            "again"
        )
    gaps = table[list(columns)].isna().any(axis=1)
    if gaps.any():
        raise DataError(
            f"{file} has gaps, the first in row {int(gaps.argmax())}, counted from 0; fetch WILDS' archive again"
        )
    return table.loc[:, list(columns)]


def check_values(file: Path, values: pd.Series, known: Collection[Any]) -> None:
    """Raise DataError where a column has another value than those that are known."""
    strange = values[~values.isin(list(known))]
    if len(strange):
        raise DataError(
            f"column {values.name} of {file} must be one of {', '.join(map(str, known))}, got {strange.iloc[0]}; fetch WILDS' "
            "archive again"
        )


def rows_dataset(
    name: str,
    base: Path,
    rows: Sequence[Row],
    domains: Sequence[str],
    classes: Sequence[str],
    size: int,
    cache_dir: Path | None,
    target: str | None,
) -> DomainDataset:
    """Return the images of a table, those of a domain in its order.

    Args:
        name: of the data set.
        base: its folder.
        rows: all of the table.
        domains: the ones to use, in index order.
        classes: by label.
        size: side of the images, pixels.
        cache_dir: where the decoded images are kept.
        target: the domain that the official protocol holds out; None: DomainBed's rule for sources, any domain as target.

    Raises:
        DataError: an image is missing or cannot be read, or a domain has none.
    """
    by_domain = {domain: [row for row in rows if row.domain == domain] for domain in domains}
    for domain, mine in by_domain.items():
        if not mine:
            raise DataError(f"domain {domain!r} of {base} has no images; leave it out of dataset.domains")
    entries = tuple(_entry(base, row) for mine in by_domain.values() for row in mine)
    listing = Listing(base, tuple(domains), tuple(classes), entries)
    places = {domain: np.flatnonzero([row.held_out for row in mine]) for domain, mine in by_domain.items()}
    held_out = {} if target is None else {domain: out for domain, out in places.items() if len(out)}
    made = listed_dataset(name, listing, size, cache_dir, held_out=held_out)
    return replace(made, official_targets=(target,) if target is not None and target in domains else ())


def _entry(base: Path, row: Row) -> Entry:
    state = state_of(str(base / row.path))
    return Entry(row.path, row.domain, row.label, state.st_size, mtime=state.st_mtime_ns)
