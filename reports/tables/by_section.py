"""A table of each section that has rows for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from ..frames.columns import of_section, section_words
from ..frames.results import Results
from .table import Table

MakeTable = Callable[[pd.DataFrame, str, str], Table]
"""Makes the table of some rows under a file name and a title."""


def by_section(results: Results, rows: pd.DataFrame, name: str, title: str, make: MakeTable) -> Iterator[Table]:
    """Make one table for each section.

    Args:
        results: say which sections there are.
        rows: with the columns of SECTION; a section without a row gets no table.
        name: the beginning of the tables' file names.
        title: the beginning of their titles.
        make: the table of one section.
    """
    for section, part in results.section_names.items():
        own = of_section(rows, section)
        if len(own):
            made = make(own, f"{name}-{part}", f"{title}: {section_words(section)}")
            yield replace(made, section=section)
