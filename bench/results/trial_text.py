"""Which trial of a search a cell is, in words. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .trials import SearchedRow, read_search


def trial_texts(root: Path) -> dict[str, str]:
    """Say of every trial in a run folder, by its key, its number and what it sets otherwise than trial 0.

    Returns:
        For example ``3 lr=0.0012``, ``0 defaults``; ``0, 3 defaults`` where a trial turned out to be another one's cell. Empty
        where nothing was searched.
    """
    return {key: text for row in read_search(root).rows.values() for key, text in _of_row(row)}


def _of_row(row: SearchedRow) -> Iterator[tuple[str, str]]:
    defaults = row.trials[0].values
    short = _short({name for trial in row.trials for name in trial.values})
    numbers: dict[str, list[str]] = {}
    for trial in row.trials:
        numbers.setdefault(trial.key, []).append(str(trial.number))
    for trial in reversed(row.trials):
        own = {name: value for name, value in trial.values.items() if defaults.get(name, ...) != value}
        said = " ".join(f"{short[name]}={_value(value)}" for name, value in own.items()) or "defaults"
        yield trial.key, f"{', '.join(numbers[trial.key])} {said}"


def _short(names: set[str]) -> Mapping[str, str]:
    """The last parts of names where they are unique."""
    last = [name.rpartition(".")[2] for name in names]
    return {name: end if last.count(end) == 1 else name for name, end in zip(names, last, strict=True)}


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
