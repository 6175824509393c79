"""The report as one self-contained page: no network, no server, the same bytes from the same records.

The templates escape every value by default, and nothing that comes from records is declared safe.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...bench.results.files import write_atomic
from ..answer.answer import QUESTION, Answer, answer_of
from ..answer.matrix import MARKS
from ..frames.columns import ACROSS
from ..frames.trials import how_chosen
from ..report import Report
from ..tables.provenance import provenance_table, status_counts
from ..tables.published import published_tables
from ..tables.table import Table
from ..text import escape
from ..verdict.sentences import TracedSentence, verdict_sentences
from .glossary import Glossary
from .grids import controls_grid, grids_of
from .places import Places
from .table import PageTable
from .trust import checks


class Fold(NamedTuple):
    """What is said on one algorithm, folded; ``printed`` where a print shows it unfolded."""

    heading: str
    sentences: list[TracedSentence]
    printed: bool


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


def _sections(report: Report) -> dict[str, list[Table]]:
    """Arrange the tables by section of the page, in reading order."""
    last = [t for t in report.measured if t.name in ("failures", "problems")]
    field = [t for t in report.measured if t.section == ACROSS]
    return {
        "field": field,
        "verdict": report.judged,
        "tables": [t for t in report.measured if t not in (*last, *field)],
        "failures": last,
        "published": list(published_tables(report.results)),
        "provenance": [provenance_table(report.results)],
    }


def _said(report: Report, answer: Answer | None) -> list[tuple[str, list[Fold]]]:
    """What is said on each algorithm, by scope."""
    said, out = verdict_sentences(report.verdict), []
    for scope in report.verdict.scopes:
        of = zip(scope.algorithms, islice(said, len(scope.algorithms)), strict=True)
        own = [Fold(*told, printed=answer is not None and judged is answer.judged) for judged, told in of]
        out.append((scope.name, own))
    return out


def _content(report: Report) -> dict[str, Any]:
    """Collect what the templates show."""
    results, answer = report.results, answer_of(report.verdict, report.results)
    sections = _sections(report)
    glossary = Glossary(table for own in sections.values() for table in own)
    places, number = Places(results.cells["key"].unique()), count()
    tables = {
        name: [PageTable(t, f"t{next(number)}", places, glossary.of(t)) for t in own] for name, own in sections.items()
    }
    return {
        "question": QUESTION,
        "answer": answer,
        "checks": checks(report, answer),
        "grids": grids_of(report, answer) if answer else [],
        "controls": controls_grid(report, answer) if answer else None,
        "marks": MARKS,
        "status": status_counts(results),
        "verdict": report.verdict,
        "searched": " ".join(how_chosen(results.trials)),
        "said": _said(report, answer),
        "pictures": list(report.pictures.values()),
        "tables": tables,
        "glossary": glossary.entries,
        "places": places,
    }


def render_html(report: Report) -> str:
    """Return the page's text."""
    return _templates().get_template("page.html").render(_content(report))


def write_html(report: Report, out: Path) -> Path:
    """Write the page to the file ``out``."""
    write_atomic(out, render_html(report))
    return out
