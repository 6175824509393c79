"""Of the trials of a search, those that count: the others are in no table but those of the search itself.

A trial is chosen by source validation, never by the target, for each row: (method, quantizer, target, seed), or for all
reported seeds at once by other ones. A chosen cell stands under the label of the row, whose hyper-parameters are the defaults.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...bench.results.record import HEADLINE
from ...bench.results.trials import Searched, SearchedRow, Trial, settings_path
from .columns import METHOD
from .variants import flatten

TRIALS = ["row", "key", "trial", "asked", "done", "by_itself", "source", "default_source", "values", "defaults"]
"""Columns of `Chosen.rows` beside the labels: keys of trial 0 and of the chosen one, its number, how many trials were asked for and
have a result, whether the row itself was searched, mean source validation of both, and hyper-parameters of both as JSON."""

_RULE = (
    "One trial counts for each (method, quantizer, target, seed): that with the highest source validation, the first of several; "
    "float and each quantizer have their own. The target chooses nothing."
)
_HELD_OUT = (
    "One trial counts for each (method, quantizer, target), chosen on seeds that no table shows: that with the highest mean source "
    "validation there. The target chooses nothing."
)
_UNEQUAL = "The rows have different numbers of trials: a row with more has had more chances."


@dataclass(frozen=True)
class Chosen:
    """What a search leaves of a run folder's cells.

    Attributes:
        kept: rows of cells that are no trials, and of the chosen ones.
        without: the same with trial 0 in place of each chosen one: what no search gives.
        hidden: keys of trials that do not count.
        rows: one row for each searched row that has a result, columns TRIALS.
    """

    kept: pd.DataFrame
    without: pd.DataFrame
    hidden: frozenset[str]
    rows: pd.DataFrame


def choose_trials(cells: pd.DataFrame, searched: Searched) -> Chosen:
    """Choose among the trials of each row.

    Args:
        cells: one row for each cell and selection rule, with ``form``: `identity` of its settings.
        searched: what is a trial of what.
    """
    own = cells[cells["selection"] == HEADLINE]
    scores = dict(zip(own["key"], own["source"], strict=True))
    there = set(cells["key"])
    chosen = {row: trial for row, trial in searched.chosen(scores).items() if trial.key in there}
    plain = cells[~cells["key"].isin(searched.trial_keys)]
    trials = {row: searched.rows[row].trials[0] for row in chosen}
    kept = pd.concat([plain, _of_rows(cells, searched, chosen)], ignore_index=True)
    without = pd.concat([plain, _of_rows(cells, searched, trials)], ignore_index=True)
    hidden = searched.trial_keys - set(kept["key"])
    rows = pd.DataFrame(
        [_row(searched, searched.rows[row], trial, scores) for row, trial in chosen.items()], columns=TRIALS
    )
    return Chosen(kept, without, frozenset(hidden), rows)


def _of_rows(cells: pd.DataFrame, searched: Searched, trials: Mapping[str, Trial]) -> pd.DataFrame:
    """The cells of some trials, each with the form of its row."""
    places = pd.DataFrame([(trial.key, row) for row, trial in trials.items()], columns=pd.Index(["key", "row"]))
    found = places.merge(cells, on="key")
    known: dict[tuple[str, str], str] = {}
    for at in zip(found["row"], found["form"], strict=True):
        if at not in known:
            known[at] = _form(at[1], searched.rows[at[0]])
    found["form"] = [known[at] for at in zip(found["row"], found["form"], strict=True)]
    return found[list(cells.columns)]


def _form(form: str, row: SearchedRow) -> str:
    """A trial's settings with the hyper-parameters of trial 0."""
    paths = {".".join(settings_path(name)) for trial in row.trials for name in trial.values}
    kept = {
        p: v for p, v in json.loads(form).items() if not any(p == path or p.startswith(f"{path}.") for path in paths)
    }
    defaults = {".".join(settings_path(name)): value for name, value in row.trials[0].values.items()}
    return json.dumps({**kept, **flatten(defaults)}, sort_keys=True)


def _row(searched: Searched, row: SearchedRow, trial: Trial, scores: Mapping[str, float]) -> dict[str, Any]:
    by = [searched.rows[key] for key in row.by if key in searched.rows]
    keys = [{t.key for t in one.trials} for one in by]
    done = [sum(not math.isnan(scores.get(key, math.nan)) for key in own) for own in keys]
    default = row.trials[0]
    return {
        "row": row.key,
        "key": trial.key,
        "trial": trial.number,
        "asked": max(map(len, keys)),
        "done": min(done),
        "by_itself": row.by == (row.key,),
        "source": scores.get(trial.key, math.nan),
        "default_source": scores.get(default.key, math.nan),
        "values": json.dumps(dict(trial.values)),
        "defaults": json.dumps(dict(default.values)),
    }


def visible(rows: list[dict[str, Any]], hidden: frozenset[str]) -> list[dict[str, Any]]:
    """Return the rows, each with a ``key``, of the cells that count."""
    return [row for row in rows if row["key"] not in hidden] if hidden else rows


def names_in(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the names of all hyper-parameters of rows as `Chosen` has them, each once, in their order."""
    yield from dict.fromkeys(name for text in rows["values"] for name in json.loads(text))


def trials_text(own: pd.DataFrame) -> str:
    """Say how many trials stand behind rows of `Chosen`, and how many have a result where not all have."""
    asked, done = sorted({*own["asked"]}), int(own["done"].min())
    said = f"{asked[0]}" if len(asked) == 1 else f"{asked[0]} to {asked[-1]}"
    return said if (own["done"] == own["asked"]).all() else f"{said}, at least {done} done"


def trials_behind(own: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Return `trials_text` of each (algorithm, quantizer, bits) that was searched."""
    return {tuple(map(str, name)): trials_text(rows) for name, rows in own.groupby(METHOD, sort=False)}


def how_chosen(own: pd.DataFrame) -> tuple[str, ...]:
    """Return the rule by which trials of these rows were chosen, and whether the rows had equal budgets; empty without rows."""
    if own.empty:
        return ()
    rules = [_RULE] if own["by_itself"].all() else [_HELD_OUT]
    return (*rules, *([_UNEQUAL] if own["asked"].nunique() > 1 else ()))
