"""Where the records come from: versions, machines, git states, and how many cells have which status."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ...bench.results.record import STATUSES
from ..frames.results import Results
from ..text import escape
from .table import Table

_SHOWN = 3


def status_counts(results: Results) -> str:
    """Count the cells in plain text, for example ``12 cells: 10 done, 1 failed, 1 unsupported``."""
    cells = results.cells.drop_duplicates("key")
    counts = cells["status"].value_counts()
    parts = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    protocols = ", ".join(sorted(map(str, cells["protocol"].unique())))
    damaged = f" {len(results.problems)} files could not be used." if results.problems else ""
    if cells.empty:
        return f"No cells yet.{damaged}"
    return f"{len(cells)} cells: {parts}. Protocols: {protocols}.{damaged}"


def status_line(results: Results) -> str:
    """Return `status_counts` as Markdown."""
    return escape.markdown(status_counts(results))


def _protocols(results: Results) -> Iterator[tuple[str, str]]:
    """What each protocol fixes; a setting with several values has them with their data sets."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for (dataset, _, protocol), setting, value in results.protocols:
        found.setdefault(protocol, {}).setdefault(setting, {}).setdefault(value, []).append(dataset)
    for protocol, settings in sorted(found.items()):
        parts = []
        for setting, values in sorted(settings.items()):
            several = len(values) > 1
            parts += [f"{setting} {v} ({', '.join(own)})" if several else f"{setting} {v}" for v, own in values.items()]
        yield f"protocol {protocol}", ", ".join(parts)


def provenance_table(results: Results) -> Table:
    """Make the table of every recorded entry; several values of one entry are listed with their counts."""
    frame = pd.DataFrame(
        [(path, value, count) for (path, value), count in sorted(results.provenance.items())],
        columns=["entry", "value", "records"],
    )
    rows = []
    for entry, group in frame.groupby("entry", sort=True):
        values = [f"{v} ({n})" for v, n in zip(group["value"], group["records"], strict=True)]
        if len(values) > _SHOWN:
            values = [f"{len(values)} values, from {group['value'].min()} to {group['value'].max()}"]
        rows.append((str(entry), "; ".join(values)))
    rows += _protocols(results)
    text = pd.DataFrame(rows, columns=["entry", "values (records)"])
    return Table(
        name="provenance",
        title="Provenance",
        text=text,
        numbers=frame,
        labels=2,
    )
