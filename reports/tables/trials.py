"""How many trials of a search stand behind the rows of a table."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ..frames.columns import METHOD
from ..frames.trials import how_chosen, trials_behind
from .table import Table

ALONE = "1"
"""What a row that was not searched has."""


def with_trials(table: Table, trials: pd.DataFrame) -> Table:
    """Return a table with a column of numbers of trials and a note on how one was chosen; the same without a search.

    Args:
        table: its first columns are those of METHOD, and so are those of its numbers.
        trials: of the table's rows, as `Results.trials` has them.
    """
    if trials.empty:
        return table
    behind = trials_behind(trials)
    text, numbers = table.text.copy(), table.numbers.copy()
    for frame in (text, numbers):
        frame["trials"] = [behind.get(tuple(map(str, row)), ALONE) for row in frame[METHOD].to_numpy()]
    return replace(table, text=text, numbers=numbers, notes=(*table.notes, *how_chosen(trials)))
