"""The report as one self-contained page: no network, no server, the same bytes from the same records."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from ...bench.results.files import write_atomic
from ..report import Report
from ..tables.provenance import provenance_table, status_counts
from ..tables.published import published_tables
from ..tables.table import Table
from ..verdict.judge import Verdict
from ..verdict.sentences import verdict_words
from .table import leading, ranges, safe, table_html

_TITLE = "QuantDG report"


def _behind(keys: Sequence[str], index: Mapping[str, int]) -> str:
    """A button that leads to records; nothing where there are none."""
    if not keys:
        return ""
    many = "records" if len(keys) > 1 else "record"
    return " " + leading(f"{len(keys)} {many}", ranges(index[k] for k in keys))


def _verdict(found: Verdict, index: Mapping[str, int]) -> str:
    rules = found.rules
    fixed = f"Level {rules.alpha:g}; a difference up to {rules.margin:g} points counts as none."
    unit = "The unit is the target domain; seeds are replicates inside it."
    parts = [f"<p>{fixed} {unit} Sentences, tables and figures lead to the records behind them.</p>"]
    for heading, sentences in verdict_words(found):
        first, *rest = (safe(s) + _behind(s.keys, index) for s in sentences)
        more = "".join(f"<li>{sentence}</li>" for sentence in rest)
        parts.append(f'<article class="card"><h3>{safe(heading)}</h3><p>{first}</p><ul>{more}</ul></article>')
    return "".join(parts)


def _sections(report: Report) -> tuple[list[tuple[str, str, str]], list[str]]:
    """(id, heading, content) of the page's sections, and what they refer to: keys in reading order, then files."""
    results, number = report.results, iter(range(10**6))
    index = {key: i for i, key in enumerate(results.cells["key"].unique())}

    def shown(made: list[Table]) -> str:
        for name in (name for table in made for behind in table.traces.values() for name in behind):
            index.setdefault(name, len(index))
        return "".join(table_html(t, f"t{next(number)}", index) for t in made)

    judged, drawn = shown(report.judged), (p.html(_behind(p.keys, index)) for p in report.pictures.values())
    last = [t for t in report.measured if t.name in ("failures", "problems")]
    parts = [
        ("verdict", "Verdict", _verdict(report.verdict, index) + judged),
        ("figures", "Figures", "".join(drawn)),
        ("tables", "Accuracy, size, latency, audit, flatness", shown([t for t in report.measured if t not in last])),
        ("failures", "Cells without a result", shown(last) or "<p>Every cell of the grid has a result.</p>"),
        ("published", "Reported and measured", shown(published_tables(results))),
        ("provenance", "Provenance", shown([provenance_table(results)])),
    ]
    return parts, list(index)


def render_html(report: Report) -> str:
    """The page's text."""
    page = (files("quantdg.reports.page") / "templates" / "page.html").read_text(encoding="utf-8")
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts, keys = _sections(report)
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="s-{name}"><h2 id="s-{name}">{safe(heading)}</h2>{content}</section>'
        for name, heading, content in parts
    )
    return Template(page).substitute(
        title=_TITLE,
        status=safe(status_counts(report.results)),
        links="".join(f'<a href="#{name}">{safe(heading)}</a>' for name, heading, _ in parts),
        body=body,
        keys=json.dumps(keys).replace("<", "\\u003c"),
        script_hash=f"sha256-{digest}",
    )


def write_html(report: Report, out: Path) -> Path:
    """Write the page to the file ``out``."""
    write_atomic(out, render_html(report))
    return out
