"""The report of a run folder: tables, figures and provenance, from its records alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from quantdg.bench.store import write_atomic
from quantdg.reports import accuracy, escape, figures
from quantdg.reports.audit import audit_table
from quantdg.reports.cube import Cube
from quantdg.reports.failures import failures_table, problems_table
from quantdg.reports.flatness import correlation_table, flatness_table
from quantdg.reports.frame import Results, load
from quantdg.reports.order import SECTION
from quantdg.reports.provenance import provenance_table, status_line
from quantdg.reports.resources import latency_table, size_table
from quantdg.reports.tables import Table
from quantdg.reports.verdict import Verdict, judge
from quantdg.reports.verdict_tables import verdict_tables
from quantdg.reports.words import verdict_words

_NOT_DRAWN = ("last", "oracle")
Section = tuple[str, str, str]


def section_names(results: Results) -> dict[Section, str]:
    """A file-name part for each section, unique whatever the labels hold."""
    names: dict[Section, str] = {}
    taken: Counter[str] = Counter()
    for section, _ in results.sections():
        base = "-".join(escape.slug(part) for part in section)
        taken[base] += 1
        names[section] = base if taken[base] == 1 else f"{base}.{taken[base]}"
    return names


def tables(results: Results) -> list[Table]:
    """All tables that have content, in reading order."""
    out = []
    for section, name in section_names(results).items():
        cells = results.cells[(results.cells[SECTION] == list(section)).all(axis=1)]
        where = "{}, {}, protocol {}".format(*section)
        out.append(accuracy.table(cells, f"accuracy-{name}", f"Accuracy by target domain: {where}"))
        for file, title, frame, make in (
            ("size", "Model size", results.sizes, size_table),
            ("latency", "Latency", results.latency, latency_table),
            ("audit", "Audit of the quantizers", results.audit, audit_table),
            ("flatness", "Flatness", results.flatness, flatness_table),
            ("flatness-gap", "Flatness and the out-of-domain gap", results.flatness, correlation_table),
        ):
            own = frame[(frame[SECTION] == list(section)).all(axis=1)] if len(frame) else frame
            if len(own):
                out.append(make(own, f"{file}-{name}", f"{title}: {where}"))
    for last in (failures_table(results), problems_table(results)):
        if len(last.text):
            out.append(last)
    return out


def _figures(results: Results) -> dict[str, tuple[str, dict[str, bytes]]]:
    """Title and encoded files of each figure, by name."""
    out = {}
    for section, name in section_names(results).items():
        cells = results.cells[(results.cells[SECTION] == list(section)).all(axis=1)]
        for rule in cells["selection"].unique():
            if rule in _NOT_DRAWN:
                continue
            title = f"{section[0]}, {section[1]}, {section[2]}; selection: {rule}"
            figure = figures.gain_figure(Cube.of(cells), str(rule), title)
            if figure is not None:
                out[f"gain-{name}-{escape.slug(rule)}"] = (title, figures.encode(figure))
    return out


def scope_names(results: Results, found: Verdict) -> list[str]:
    """File-name parts of the scopes: the sections' own, then those of several data sets together."""
    names = [*section_names(results).values()]
    return [*names, *(f"all.{i}" for i in range(1, 1 + len(found.scopes) - len(names)))]


def _words(found: Verdict, level: int) -> str:
    rules = found.rules
    fixed = f"Level {rules.alpha:g}; a difference up to {rules.margin:g} points counts as none. Unit: target domains."
    parts = [f"{'#' * level} Verdict\n\n{fixed}\n"]
    for heading, sentences in verdict_words(found):
        body = "\n".join(f"- {escape.markdown(sentence)}" for sentence in sentences)
        parts.append(f"{'#' * (level + 1)} {escape.markdown(heading)}\n\n{body}\n")
    return "\n".join(parts)


def render_verdict(root: Path, margin: float = 0.5, alpha: float = 0.05) -> str:
    """The verdict in words and tables as Markdown, for the terminal; arguments and errors as `verdict`."""
    results = load(root)
    found = judge(results, margin, alpha)
    made = verdict_tables(found, scope_names(results, found))
    return "\n".join([f"{status_line(results)}\n", _words(found, 2), *(table.markdown() for table in made)])


def _text(results: Results, found: Verdict, made: list[Table], pictures: dict[str, str]) -> str:
    parts = [f"# QuantDG report\n\n{status_line(results)}\n"]
    if found.scopes:
        parts.append(_words(found, 2))
    parts += [table.markdown(level=2) for table in made]
    if pictures:
        parts.append("## Figures\n")
        parts += [f"![{escape.markdown(title)}]({name}.svg)\n" for name, title in pictures.items()]
    parts.append(provenance_table(results).markdown(level=2))
    return "\n".join(parts)


def render_summary(root: Path) -> str:
    """The tables as Markdown, for the terminal.

    Raises:
        RecordError: ``root`` is not a run folder of this schema.
    """
    results = load(root)
    made = tables(results)
    return "\n".join([f"{status_line(results)}\n", *(table.markdown() for table in made)])


def write_report(root: Path, out: Path, margin: float = 0.5, alpha: float = 0.05) -> list[Path]:
    """Write report.md with the verdict on top, each table as .md, .csv and .tex, and each figure as .png and .svg.

    Files of an earlier report with the same names are replaced; the same records give the same bytes.

    Returns:
        The files written, report.md first.

    Raises:
        ConfigError: margin or alpha out of range.
        RecordError: ``root`` is not a run folder of this schema.
    """
    results = load(root)
    found = judge(results, margin, alpha)
    made, drawn = tables(results), _figures(results)
    made[:0] = verdict_tables(found, scope_names(results, found))
    titles = {name: title for name, (title, _) in drawn.items()}
    files: dict[str, str | bytes] = {"report.md": _text(results, found, made, titles)}
    for table in [*made, provenance_table(results)]:
        files[f"{table.name}.md"] = table.markdown(level=1)
        files[f"{table.name}.csv"] = table.csv()
        files[f"{table.name}.tex"] = table.latex()
    for name, (_, forms) in drawn.items():
        files.update({f"{name}.{form}": data for form, data in forms.items()})
    for name, data in files.items():
        write_atomic(out / name, data)
    return [out / name for name in files]
