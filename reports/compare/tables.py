"""A comparison as tables: rows with their differences, the pairs behind them, and what the folders do not share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..frames.columns import METHOD
from ..stats.units import Domains
from ..tables.table import Table, traced
from ..text.numbers import interval_text, number_text, p_text, points
from .pairs import Comparison, Difference

_WORDS = {"gain": "B higher", "loss": "B lower"}
"""What an answer of the verdict is called between two folders; the others keep their names."""
EQUAL = "equal"
_NAMES = ["dataset", *METHOD, "selection"]
_SHOWN = ["data set", *METHOD, "selection"]
_PAIRED = (
    "A, B: accuracy in percent on the target's 80 % part, means over the domains and seeds that both have.",
    "B - A in points, by target domain and seed, with the Student interval over domains.",
    "Answer: sign-flip test on domain means as in the verdict, Holm over the rows of one data set and selection.",
    "equal: pairs in which both accuracies are the same number.",
)


def comparison_tables(found: Comparison) -> list[Table]:
    """Make all tables of two folders that have content."""
    made = [rows_table(found), pairs_table(found), settings_table(found), alone_table(found)]
    return [made[0], *(table for table in made[1:] if len(table.text))]


def _names(d: Difference) -> dict[str, str]:
    return dict(zip(_NAMES, (d.sections[0][0], *d.method), strict=True))


def answer_words(d: Difference) -> str:
    """Return what the test says of a row; `EQUAL` where each pair is, which needs none."""
    return EQUAL if d.equal == d.pairs else _WORDS.get(d.claim.answer, d.claim.answer)


def mean_difference(d: Difference) -> tuple[float, float, float]:
    """Return B - A with its interval; without one where a pair is missing."""
    effect = d.claim.effect
    return (d.claim.so_far[0], np.nan, np.nan) if effect is None else (effect.mean, effect.low, effect.high)


def rows_table(found: Comparison) -> Table:
    """Make a line for each row that both folders have."""
    rows: list[dict[str, Any]] = []
    for d in found.differences:
        mean, low, high = mean_difference(d)
        sections = {"model": d.sections[0][1], "protocol": d.sections[0][2]}
        sections |= {"model_b": d.sections[1][1], "protocol_b": d.sections[1][2]}
        values = {"a": float(np.nanmean(d.first)), "b": float(np.nanmean(d.second)), "difference": mean}
        tested = {"low": low, "high": high, "p": d.claim.p, "adjusted": d.claim.adjusted, "answer": answer_words(d)}
        counts = {"domains": len(d.targets), "seeds": len(d.seeds), "pairs": d.pairs, "equal": d.equal}
        rows.append({**_names(d), **sections, **values, **tested, **counts})
    numbers = pd.DataFrame(rows)
    text = [[str(row[c]) for c in _NAMES] + _line(row) for row in rows]
    columns = [*_SHOWN, "A", "B", "B - A", "interval", "p", "Holm", "answer", "domains x seeds", "equal"]
    return Table(
        name="differences",
        title="B against A",
        text=pd.DataFrame(text, columns=columns),
        numbers=numbers,
        labels=len(_SHOWN),
        notes=(*_PAIRED, Domains.about),
        traces=traced("equal", (d.keys for d in found.differences)),
    )


def _line(row: dict[str, Any]) -> list[str]:
    counts = f"{row['domains']} x {row['seeds']}" + (
        f" less {row['domains'] * row['seeds'] - row['pairs']}" * (row["pairs"] < row["domains"] * row["seeds"])
    )
    return [
        *(number_text(row[c], ".1f") for c in ("a", "b")),
        points(row["difference"]),
        interval_text(row["low"], row["high"]),
        p_text(row["p"]),
        p_text(row["adjusted"]),
        row["answer"],
        counts,
        f"{row['equal']}/{row['pairs']}",
    ]


def pairs_table(found: Comparison) -> Table:
    """Make a line for each row and target domain; in numbers for each seed."""
    text, numbers = [], []
    for d in found.differences:
        names = _names(d)
        for target, one, two in zip(d.targets, d.first, d.second, strict=True):
            a, b = float(np.nanmean(one)), float(np.nanmean(two))
            text.append([*names.values(), target, f"{a:.1f}", f"{b:.1f}", points(b - a), str(np.isfinite(one).sum())])
            numbers += [
                {**names, "target": target, "seed": seed, "a": x, "b": y, "difference": y - x}
                for seed, x, y in zip(d.seeds, one, two, strict=True)
                if np.isfinite(x)
            ]
    return Table(
        name="pairs",
        title="B against A by target domain",
        text=pd.DataFrame(text, columns=[*_SHOWN, "target", "A", "B", "B - A", "seeds"]),
        numbers=pd.DataFrame(numbers),
        labels=len(_SHOWN) + 1,
    )


def settings_table(found: Comparison) -> Table:
    """Make a line for each setting, version or machine that is not the same in both folders."""
    rows = [(*key, str(count)) for key, count in found.settings.items()]
    rows += [(*entry, "") for entry in found.made_with]
    text = pd.DataFrame(rows, columns=["setting", "A", "B", "methods"])
    return Table(
        name="settings",
        title="What differs in settings, versions and machines",
        text=text,
        numbers=text,
        labels=4,
        notes=("methods: how many of those that both have differ in it; none is counted for versions and machines.",),
    )


def alone_table(found: Comparison) -> Table:
    """Make a line for what only one folder has."""
    rows = [(name, what) for name, own in zip("AB", found.alone, strict=True) for what in own]
    text = pd.DataFrame(rows, columns=["only in", "what"])
    return Table(name="alone", title="What only one folder has", text=text, numbers=text, labels=2)
