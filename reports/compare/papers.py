"""A run folder beside the numbers of a paper: reported, measured, and their difference, where both have one."""

from __future__ import annotations

import pandas as pd

from ..frames.results import Results
from ..tables.papers import Paper
from ..tables.published import measured_beside
from ..tables.table import Table, traced
from ..text.numbers import points

_UNPAIRED = "Difference: measured - reported, in points; not paired, so no test goes with it."


def paper_table(paper: Paper, results: Results) -> Table:
    """Make a line for each number of the paper and each measured one that may stand beside it.

    The difference is measured minus reported, in points. It is not paired, and no test goes with it: a paper's network,
    images and steps may be others, which its notes and the measured number's network and protocol say.
    """
    text, numbers, behind, without = [], [], [], 0
    for row in paper.accuracies:
        made = list(measured_beside(row, paper, results))
        without += not made
        where = "source" if row.on else row.target or "mean"
        named = row.method + ("" if row.selection in ("", "iid") else f" [{row.selection}]")
        error = "" if row.standard_error is None else f" ± {row.standard_error:.1f}"
        for one in made:
            difference = one.mean - row.accuracy
            reported = f"{row.accuracy:.1f}{error}"
            names = (row.table, row.dataset, where, row.model, named, one.where)
            text.append((*names, reported, one.text, points(difference)))
            measured = {"measured": one.mean, "measured_se": one.error, "measured_with": one.where}
            numbers.append({**row._asdict(), **measured, "difference": difference})
            behind.append(one.keys)
    columns = [
        "table",
        "data set",
        "target",
        "network",
        "method",
        "measured with",
        "reported",
        "measured",
        "difference",
    ]
    shown, notes = pd.DataFrame(text, columns=columns), [_UNPAIRED]
    if shown["measured with"].nunique() == 1:
        notes.append(f"Measured with {shown.pop('measured with').iloc[0]}.")
    return Table(
        name=f"published-{paper.name}",
        title=f"{paper.title}: {len(paper.accuracies) - without} of {len(paper.accuracies)} rows have a counterpart",
        text=shown,
        numbers=pd.DataFrame(numbers),
        labels=shown.shape[1] - 3,
        notes=(*notes, *paper.notes),
        traces=traced("measured", behind),
    )
