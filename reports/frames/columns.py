"""Names of the columns that identify a result, and the one order in which everything is listed."""

from __future__ import annotations

import pandas as pd

from ...bench.results.record import HEADLINE, LAST, ORACLE
from .roles import Roles

Section = tuple[str, str, str]
"""(data set, model, protocol): no average crosses it."""
SECTION = ["dataset", "model", "protocol"]
ACROSS: Section = ("", "", "")
"""The section of what spans several: it stands before them."""
METHOD = ["algorithm", "quantizer", "bits"]
ROW = [*METHOD, "selection"]
FLOAT = "float"

_SELECTIONS: dict[str, int] = {HEADLINE: 0, LAST: 1, ORACLE: 9}


def selection_rank(name: str) -> int:
    """Return a selection rule's place: source validation first, then the last checkpoint, averages, and the oracle."""
    return _SELECTIONS.get(name, 2)


def algorithm_rank(name: str) -> int:
    """Return an algorithm's place: ERM, the baseline of domain generalization, comes first."""
    return 0 if name.split(" ", maxsplit=1)[0] == "erm" else 1


def ordered(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Put rows into reading order, whatever order the files came in; the index starts at 0 again.

    Sorts by data set, model, protocol, selection, algorithm, quantizer, bits, then everything else
    that names a row. Columns that the frame lacks are left out.

    Args:
        frame: any of the columns that identify a result, and others.
        roles: of the quantizers; the baseline comes first, then controls, then methods.
    """
    ranked = {"selection": selection_rank, "algorithm": algorithm_rank, "quantizer": roles.rank}
    ranks = pd.DataFrame(index=frame.index)
    keys: list[str] = []
    for column in [*SECTION, "selection", *METHOD, "target", "seed", "key"]:
        if column not in frame.columns:
            continue
        if column in ranked:
            found = {name: ranked[column](name) for name in frame[column].unique()}
            ranks[f"{column} rank"] = frame[column].map(found)
            keys.append(f"{column} rank")
        ranks[column] = frame[column]
        keys.append(column)
    if frame.empty or not keys:
        return frame.reset_index(drop=True)
    return frame.loc[ranks.sort_values(keys, kind="stable").index].reset_index(drop=True)


def section_words(section: Section) -> str:
    """Write a section as a title has it, for example ``pacs, resnet50, protocol domainbed``."""
    return "{}, {}, protocol {}".format(*section)


def in_section(frame: pd.DataFrame, section: Section) -> pd.Series[bool]:
    """Say of each row whether it belongs to one (data set, model, protocol)."""
    return (frame[SECTION] == list(section)).all(axis=1)


def of_section(frame: pd.DataFrame, section: Section) -> pd.DataFrame:
    """Return the rows of one (data set, model, protocol)."""
    return frame[in_section(frame, section)]
