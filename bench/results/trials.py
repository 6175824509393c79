"""Which cells of a run folder are trials of which row, and which of them counts. Imports no torch.

RUNS/search/NAME.json      the trials of a search, beside the records, whose labels say nothing of them

A row is what a table shows as one: a cell with default hyper-parameters, its trial 0. Its other trials differ from it in
hyper-parameters alone. Source validation decides which of them counts, never the target.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ...core.errors import ConfigError, RecordError
from .codec import WRONG
from .files import write_first
from .folder import check_key
from .record import HEADLINE, Record, fingerprint
from .store import RunStore, Unreadable, parsed

FOLDER = "search"
_SINGLE = ("model", "step_rule", "optimizer", "schedule")
_SEVERAL = {"transform": "transforms", "averaging": "averages"}


class Trial(msgspec.Struct, frozen=True):
    """A trial is one cell of a row.

    Attributes:
        number: from 0, the defaults.
        key: of the cell; two trials with equal hyper-parameters are one cell.
        values: of the hyper-parameters, by their names on the command line; for trial 0 those that its settings name.
    """

    number: int
    key: str
    values: dict[str, Any]


class SearchedRow(msgspec.Struct, frozen=True):
    """A searched row has several trials.

    Attributes:
        key: of trial 0.
        by: keys of the rows by whose source validation a trial is chosen: the row itself, or the same row on other seeds;
            empty for one of those other rows, which no table shows.
        trials: by number.
    """

    key: str
    by: tuple[str, ...]
    trials: tuple[Trial, ...]


@dataclass
class Searched:
    """These are all searches of a folder.

    Attributes:
        rows: by the key of trial 0.
        damaged: files that say nothing readable.
    """

    rows: dict[str, SearchedRow] = field(default_factory=dict)
    damaged: list[Unreadable] = field(default_factory=list)

    def add(self, row: SearchedRow) -> None:
        """Take in a row, or further trials of one; ConfigError where a trial is there with other hyper-parameters."""
        known = self.rows.get(row.key)
        if known is None:
            self.rows[row.key] = row
            return
        trials = {trial.number: trial for trial in known.trials}
        for trial in row.trials:
            there = trials.setdefault(trial.number, trial)
            if there.key != trial.key:
                raise ConfigError(
                    f"a run folder holds one search of a row, but trial {trial.number} of {row.key} has {_words(there)} there and "
                    f"{_words(trial)} here; write the search. settings of then or another out=FOLDER"
                )
        if known.by != row.by:
            raise ConfigError(
                f"a run folder chooses in one way, but {row.key} was searched with another search.select or search.seeds; "
                "write those of then or another out=FOLDER"
            )
        self.rows[row.key] = SearchedRow(row.key, row.by, tuple(trials[number] for number in sorted(trials)))

    @property
    def trial_keys(self) -> set[str]:
        """Return the keys of all trials."""
        return {trial.key for row in self.rows.values() for trial in row.trials}

    def chosen(self, scores: Mapping[str, float]) -> dict[str, Trial]:
        """Return the trial that counts of each row that tables show, by the row's key.

        Args:
            scores: mean source-validation accuracy by key of a cell; one without a result is not there or NaN.

        Returns:
            The trial with the highest mean score over the rows ``by``, the first of several; trial 0 where none has a result.
        """
        found = {}
        for row in self.rows.values():
            if not row.by:
                continue
            by = [{t.number: t.key for t in self.rows[key].trials} for key in row.by if key in self.rows]
            number = choose(mean_scores(by, scores))
            own = {trial.number: trial for trial in row.trials}
            found[row.key] = own[0] if number is None else own.get(number, Trial(number, "", {}))
        return found


def mean_scores(rows: Sequence[Mapping[int, str]], scores: Mapping[str, float]) -> dict[int, float]:
    """Return the mean score of each trial over some rows, by number; NaN where a row has no result of it.

    Args:
        rows: of each row, the keys of its trials by number.
        scores: by key.
    """
    numbers = rows[0] if rows else ()
    return {n: sum(scores.get(row.get(n, ""), math.nan) for row in rows) / len(rows) for n in numbers}


def choose(scores: Mapping[int, float]) -> int | None:
    """Return the number of the trial with the highest score, the smallest of several; NaN counts as none."""
    known = {number: score for number, score in scores.items() if not math.isnan(score)}
    return min(known, key=lambda number: (-known[number], number), default=None)


def source_score(record: Record) -> float:
    """Return the mean source-validation accuracy of the checkpoint that source validation selects; NaN without a result."""
    row = record.rows.get(HEADLINE)
    if record.status != "done" or row is None or not row.source_out:
        return math.nan
    return sum(row.source_out.values()) / len(row.source_out)


def _words(trial: Trial) -> str:
    return ", ".join(f"{name}={value}" for name, value in trial.values.items()) or "the defaults"


def settings_path(name: str) -> tuple[str, ...]:
    """Return where a record's settings have a hyper-parameter, for example ``algorithm.coral.gamma``."""
    group, *rest = name.split(".")
    if group in _SINGLE:
        return (group, "options", *rest)
    if group in _SEVERAL:
        return (_SEVERAL[group], rest[0], "options", *rest[1:])
    if group in ("algorithm", "quantizer"):
        inner = rest[1:] if rest[1] == "spec" else ["options", *rest[1:]]
        return (group, *inner)
    return (group, *rest)


def scores_in(store: RunStore, keys: Iterable[str]) -> dict[str, float]:
    """Return `source_score` of every one of these cells that has a record, by key."""
    return {key: source_score(record) for key in keys if (record := store.read(key)) is not None}


def those_that_count(store: RunStore, keys: Sequence[str]) -> list[str]:
    """Return the keys without those of trials that do not count, in their order; all of them where nothing was searched."""
    searched = read_search(store.root)
    asked = set(keys)
    rows = [row for row in searched.rows.values() if any(trial.key in asked for trial in row.trials)]
    by = [searched.rows[key] for row in rows for key in row.by if key in searched.rows]
    chosen = searched.chosen(scores_in(store, {trial.key for row in by for trial in row.trials}))
    hidden = {trial.key for row in rows for trial in row.trials}
    counting = {chosen[row.key].key for row in rows if row.key in chosen}
    return [key for key in keys if key not in hidden or key in counting]


def write_search(store: RunStore, rows: Iterable[SearchedRow]) -> None:
    """Note the trials of a search; the same again changes nothing.

    Raises:
        ConfigError: the folder has another search of a row.
        StorageError: the folder cannot be written.
    """
    rows, known = list(rows), read_search(store.root)
    for row in rows:
        known.add(row)
    text = json.dumps([msgspec.to_builtins(row) for row in rows])
    path = store.path(f"{FOLDER}/{fingerprint(json.loads(text))}.json")
    if rows and not path.exists():
        write_first(path, text)


def read_search(root: Path) -> Searched:
    """Read all searches of a run folder; there may be none. RecordError where two of them contradict each other."""
    found = Searched()
    for rows in parsed(root, FOLDER, _parse):
        if isinstance(rows, Unreadable):
            found.damaged.append(rows)
            continue
        for row in rows:
            try:
                found.add(row)
            except ConfigError as error:
                raise RecordError(f"{root / FOLDER}: {error}") from error
    return found


def check_searches(roots: Iterable[Path]) -> None:
    """Raise ConfigError where run folders hold different searches of one row."""
    together = Searched()
    for root in roots:
        for row in read_search(root).rows.values():
            together.add(row)


def _parse(text: str, path: Path) -> list[SearchedRow]:
    try:
        rows = msgspec.json.decode(text, type=list[SearchedRow])
        for row in rows:
            for key in (row.key, *row.by, *(trial.key for trial in row.trials)):
                check_key(key, "a trial")
            if not any(trial.number == 0 and trial.key == row.key for trial in row.trials):
                raise ValueError(f"{row.key} has no trial 0")
    except (RecordError, *WRONG) as error:
        raise RecordError(f"{path} is not a whole search ({error}); delete it, the next run writes it anew") from error
    return rows
