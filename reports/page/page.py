"""The report as one self-contained page: no network, no server, the same bytes from the same records.

The templates escape every value by default, and nothing that comes from records is declared safe.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...bench.results.files import write_atomic
from ..frames.trials import how_chosen
from ..report import Report
from ..tables.provenance import provenance_table, status_counts
from ..tables.published import published_tables
from ..tables.table import Table
from ..text import escape
from ..verdict.sentences import verdict_sentences
from .places import Places
from .table import PageTable


def _shown(value: object) -> object:
    """Prepare a template's value before it is escaped: one line without control characters, unless it is HTML."""
    return value if isinstance(value, Markup) else escape.clean(value)


def _integrity(script: str) -> str:
    """Return what a content security policy names an inline script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("quantdg.reports.page"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["integrity"] = _integrity
    return made


def _content(report: Report) -> dict[str, Any]:
    """Collect what the templates show."""
    results = report.results
    last = [t for t in report.measured if t.name in ("failures", "problems")]
    sections: dict[str, Sequence[Table]] = {
        "verdict": report.judged,
        "tables": [t for t in report.measured if t not in last],
        "failures": last,
        "published": published_tables(results),
        "provenance": [provenance_table(results)],
    }
    places, number = Places(results.cells["key"].unique()), count()
    tables = {name: [PageTable(t, f"t{next(number)}", places) for t in own] for name, own in sections.items()}
    return {
        "status": status_counts(results),
        "verdict": report.verdict,
        "searched": " ".join(how_chosen(results.trials)),
        "cards": list(verdict_sentences(report.verdict)),
        "pictures": list(report.pictures.values()),
        "tables": tables,
        "places": places,
    }


def render_html(report: Report) -> str:
    """Return the page's text."""
    return _templates().get_template("page.html").render(_content(report))


def write_html(report: Report, out: Path) -> Path:
    """Write the page to the file ``out``."""
    write_atomic(out, render_html(report))
    return out
