"""Ensembles of the seeds of each row: what several quantized models give together, and their bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..frames import gains
from ..frames.columns import FLOAT, METHOD
from ..frames.ensembles import ENSEMBLE, SINGLE
from ..frames.results import Results
from ..text.numbers import number_text
from .by_section import by_section
from .table import Table, traced

_FLOAT = (FLOAT, FLOAT)
_AVERAGE, _ALONE, _GAIN, _BYTES = "average", "one alone", "over one float", "bytes / one float"


def seeds_table(rows: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of one section: a line for each row, in % and points."""
    targets = sorted(rows["target"].unique())
    at = {tuple(map(str, names)): part.set_index("target") for names, part in rows.groupby(METHOD, sort=False)}
    text, numbers = [], []
    for method, own in at.items():
        together, alone = (100 * own[column].reindex(targets) for column in (ENSEMBLE, SINGLE))
        base = at.get((method[0], *_FLOAT))
        over = together - 100 * base[SINGLE].reindex(targets) if base is not None else together * np.nan
        gain, ratio = gains.summarise(over.to_numpy()[:, None]), float((own["bytes"] / own["float_bytes"]).median())
        labels = dict(zip(METHOD, method, strict=True))
        means = {"average": together.mean(skipna=False), "alone": alone.mean(skipna=False)}
        numbers.append({**labels, **together, **means, "gain": gain.mean, "gain_se": gain.se, "bytes_ratio": ratio})
        shown = {t: number_text(together[t], ".1f") for t in targets}
        shown |= {_AVERAGE: number_text(means["average"], ".1f"), _ALONE: number_text(means["alone"], ".1f")}
        error = f" ± {gain.se:.2f}" if np.isfinite(gain.se) else ""
        text.append({**labels, **shown, _GAIN: f"{number_text(gain.mean, '+.2f')}{error}", _BYTES: f"{ratio:.3f}"})
    behind = traced(_AVERAGE, ([k for members in own["members"] for k in members] for own in at.values()))
    return Table(
        name=name, title=title, text=pd.DataFrame(text), numbers=pd.DataFrame(numbers), labels=len(METHOD),
        notes=_notes(rows), traces=behind,
    )  # fmt: skip


def _notes(rows: pd.DataFrame) -> tuple[str, ...]:
    seeds = ", ".join(map(str, rows["seeds"].iloc[0]))
    return (
        f"Mean of the logits of seeds {seeds}, each with the weights that source validation selects.",
        "Accuracy in % on the whole target domain, since seeds have different 80 % parts.",
        f"{_ALONE}: mean of the members' own accuracies on the same images.",
        f"{_GAIN}: points over the mean of the float models alone, ± standard error over target domains.",
        f"{_BYTES}: packed files of all members over one float32 file.",
    )


def ensembles_tables(results: Results) -> Iterator[Table]:
    """Make the table of each section that has ensembles (``quantdg ensemble --over-seeds``)."""
    return by_section(results, results.ensembles, "ensembles", "Ensembles of seeds", make=seeds_table)
