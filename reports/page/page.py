"""The report as one self-contained page: no network, no server, the same bytes from the same records.

The templates escape every value by default, and nothing that comes from records is declared safe.
"""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from ...bench.results.files import write_atomic
from ..answer.answer import QUESTION, Answer, answer_of
from ..answer.matrix import MARKS
from ..figures.bundle import bundle
from ..figures.theme import PAGE
from ..frames.columns import ACROSS
from ..frames.trials import how_chosen
from ..report import Report
from ..tables.provenance import provenance_table, status_counts
from ..tables.table import Table
from ..verdict.sentences import TracedSentence, verdict_sentences
from .environment import templates
from .glossary import Glossary
from .grids import SHADES, controls_grid, grids_of
from .places import Places
from .table import PageTable
from .trust import checks


class Fold(NamedTuple):
    """What is said on one algorithm, folded; ``printed`` where a print shows it unfolded."""

    heading: str
    sentences: list[TracedSentence]
    printed: bool


def _sections(report: Report) -> dict[str, list[Table]]:
    """Arrange the tables by section of the page, in reading order."""
    last = [t for t in report.measured if t.name in ("failures", "problems")]
    field = [t for t in report.measured if t.section == ACROSS]
    return {
        "field": field,
        "verdict": report.judged,
        "tables": [t for t in report.measured if t not in (*last, *field)],
        "failures": last,
        "published": report.reported,
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
        "shades": SHADES,
        "status": status_counts(results),
        "verdict": report.verdict,
        "searched": " ".join(how_chosen(results.trials)),
        "said": _said(report, answer),
        "drawings": report.drawings,
        "figure_config": PAGE.config(),
        "vega": Markup(bundle()) if report.drawings else "",
        "tables": tables,
        "glossary": glossary.entries,
        "places": places,
    }


def render_html(report: Report, cells: str = "") -> str:
    """Return the page's text; ``cells`` is the address of the folder of the cells' pages, empty where there are none."""
    return templates().get_template("page.html").render(_content(report), cells=cells)


def write_html(report: Report, out: Path, cells: str = "") -> Path:
    """Write the page to the file ``out``; ``cells`` as for `render_html`."""
    write_atomic(out, render_html(report, cells))
    return out
