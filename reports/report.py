"""The report of a run folder: tables, figures and provenance, from its records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from ..bench.results.files import write_atomic
from ..bench.results.verdict_rules import read_rules
from .figures.figures import pictures
from .figures.png import png
from .figures.svg import Picture
from .frames.columns import SECTION, Section
from .frames.deployments import in_section, recomputed
from .frames.results import Results, load
from .tables import accuracy
from .tables.audit import audit_table
from .tables.cost import latency_table, size_table
from .tables.deployment import deployment_tables
from .tables.failures import failures_table, problems_table
from .tables.flatness import correlation_table, flatness_table
from .tables.provenance import provenance_table, status_line
from .tables.table import Table
from .tables.verdict import verdict_tables
from .text import escape
from .verdict.judge import Verdict, chosen, judge
from .verdict.sentences import verdict_words


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
            ("size", "Model size", results.sizes, partial(size_table, roles=results.roles)),
            ("latency", "Latency", results.latency, latency_table),
            ("audit", "Audit of the quantizers", results.audit, partial(audit_table, roles=results.roles)),
            ("flatness", "Flatness", results.flatness, partial(flatness_table, roles=results.roles)),
            ("flatness-gap", "Flatness and the out-of-domain gap", results.flatness, correlation_table),
        ):
            own = frame[(frame[SECTION] == list(section)).all(axis=1)] if len(frame) else frame
            if len(own):
                out.append(make(own, f"{file}-{name}", f"{title}: {where}"))
        out += deployment_tables(in_section(results.deployed, section), name, where, results.roles)
    for last in (failures_table(results), problems_table(results)):
        if len(last.text):
            out.append(last)
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


@dataclass(frozen=True)
class Report:
    """Everything that is written about a run folder, from records that are read once.

    Attributes:
        results: the records.
        verdict: what they decide.
    """

    results: Results
    verdict: Verdict

    @classmethod
    def of(
        cls, root: Path, margin: float | None = None, alpha: float | None = None, accuracy_from: str | None = None
    ) -> Report:
        """Read a run folder and judge it.

        Args:
            root: the run folder.
            margin, alpha: of the verdict; None: as fixed with the run.
            accuracy_from: a runtime whose accuracies replace the recorded ones of the primary selection.

        Raises:
            ConfigError: margin or alpha out of range.
            RecordError: ``root`` is not a run folder of this schema, or a cell was not deployed in that runtime.
        """
        results = load(root)
        if accuracy_from is not None:
            results = replace(results, cells=recomputed(results.cells, results.deployed, accuracy_from))
            results.provenance["accuracy from", accuracy_from] = results.cells["key"].nunique()
        fixed = read_rules(root)
        rules = chosen(fixed, margin, alpha)
        if fixed not in (rules, None):
            results.provenance["verdict", f"decided by {rules}, the run had fixed {fixed}"] = 1
        return cls(results, judge(results, rules))

    @cached_property
    def measured(self) -> list[Table]:
        """The tables of what was measured."""
        return tables(self.results)

    @cached_property
    def judged(self) -> list[Table]:
        """The tables of the verdict."""
        return verdict_tables(self.verdict, scope_names(self.results, self.verdict))

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """The drawings, by file name."""
        return pictures(self.results, section_names(self.results), self.verdict.rules.alpha)

    def summary(self) -> str:
        """The measured tables as Markdown, for the terminal."""
        return "\n".join([f"{status_line(self.results)}\n", *(table.markdown() for table in self.measured)])

    def words(self) -> str:
        """The verdict in words and tables as Markdown, for the terminal."""
        made = (table.markdown() for table in self.judged)
        return "\n".join([f"{status_line(self.results)}\n", _words(self.verdict, 2), *made])

    def text(self) -> str:
        """report.md: the verdict, all tables, figures and provenance."""
        parts = [f"# QuantDG report\n\n{status_line(self.results)}\n"]
        if self.verdict.scopes:
            parts.append(_words(self.verdict, 2))
        parts += [table.markdown(level=2) for table in (*self.judged, *self.measured)]
        if self.pictures:
            parts.append("## Figures\n")
        parts += [f"![{escape.markdown(p.title)}]({name}.svg)\n" for name, p in self.pictures.items()]
        parts.append(provenance_table(self.results).markdown(level=2))
        return "\n".join(parts)

    def write(self, out: Path) -> list[Path]:
        """Write report.md, each table as .md, .csv and .tex, and each figure as .png and .svg.

        Files of an earlier report with the same names are replaced; the same records give the same bytes.

        Returns:
            The files written, report.md first.
        """
        files: dict[str, str | bytes] = {"report.md": self.text()}
        for table in (*self.judged, *self.measured, provenance_table(self.results)):
            files[f"{table.name}.md"] = table.markdown(level=1)
            files[f"{table.name}.csv"] = table.csv()
            files[f"{table.name}.tex"] = table.latex()
        for name, picture in self.pictures.items():
            files[f"{name}.svg"] = picture.standalone()
            files[f"{name}.png"] = png(picture)
        for name, data in files.items():
            write_atomic(out / name, data)
        return [out / name for name in files]
