"""A table of the report as HTML: sortable, filterable, every accuracy traceable to its records."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

from ..tables.table import Table
from ..text import escape

_NUMBER = re.compile(r"^[<+]?\s?([-+]?[\d,]*\.?\d+)")
_WIDE = ("reason", "values (records)", "target/seed", "machine", "measured")
_FEW = 4
_LEADS = "; an underlined number leads to the records of its row, or to its own where several are underlined"


def ranges(places: Iterable[int]) -> str:
    """Distinct places, ascending and short: ``0-11,14``."""
    out: list[list[int]] = []
    for place in sorted(set(places)):
        if out and place == out[-1][1] + 1:
            out[-1][1] = place
        else:
            out.append([place, place])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def leading(shown: str, places: str) -> str:
    """A button with this HTML that leads to the records at these places, as of `ranges`."""
    return f'<button type="button" class="trace" data-k="{places}">{shown}</button>'


def safe(text: object) -> str:
    """Text or attribute value."""
    return html.escape(escape.clean(text))


def _sort_value(text: str) -> str:
    found = _NUMBER.match(text)
    return f' data-v="{found.group(1).replace(",", "")}"' if found else ""


def _cell(text: str, column: str, named: bool, trace: str) -> str:
    shown = safe(text)
    if trace:
        shown = leading(shown, trace)
    kind = ' class="wide"' if column in _WIDE else ' class="name"' if named else ""
    return f"<td{kind}{'' if named else _sort_value(text)}>{shown}</td>"


def _filter(identity: str, rows: int) -> str:
    if rows <= _FEW:
        return ""
    return (
        f'<div class="filter"><label for="f-{identity}">Filter rows</label>'
        f'<input id="f-{identity}" type="search" data-table="{identity}" placeholder="words, all must occur">'
        f'<output for="f-{identity}">{rows} rows</output></div>'
    )


def table_html(table: Table, identity: str, index: Mapping[str, int] | None = None) -> str:
    """The table with its heading, filter and notes.

    Args:
        table: what to show.
        identity: id of the element, unique in the page, letters, digits and dashes.
        index: place of whatever is traced in the page's list; where it is given, numbers lead to their records.
    """
    columns = [str(c) for c in table.text.columns]
    heads = "".join(
        f'<th scope="col"{" class=name" if i < table.labels else ""}><button type="button">{safe(c)}</button></th>'
        for i, c in enumerate(columns)
    )
    traces = {at: ranges(index[k] for k in keys) for at, keys in table.traces.items()} if index else {}
    rows = []
    for r, values in enumerate(table.text.to_numpy().tolist()):
        cells = [
            _cell(str(v), c, i < table.labels, traces.get((r, c), ""))
            for i, (c, v) in enumerate(zip(columns, values, strict=True))
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    notes = "".join(f"<li>{safe(note)}</li>" for note in table.notes)
    return (
        f'<section aria-labelledby="h-{identity}"><h3 id="h-{identity}">{safe(table.title)}</h3>'
        f"{_filter(identity, len(rows))}"
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="h-{identity}"><table id="{identity}">'
        f"<caption>{len(rows)} rows; the column headings sort{_LEADS if traces else ''}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + "</section>"
    )
