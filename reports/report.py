"""The report of a run folder: tables, figures and provenance, from its records alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

from ..bench.results.files import remove, write_atomic
from ..bench.results.verdict_rules import read_rules
from ..core.errors import ConfigError, UnknownNameError
from .collect import Drawn, Style, collect_figures, collect_tables, figure_files
from .figures.drawing import Drawing
from .frames.deployments import recomputed, recomputed_or_absent
from .frames.results import Results, load
from .frames.trials import how_chosen
from .plugins import Problem
from .tables.failures import problems_table
from .tables.provenance import provenance_table, status_line
from .tables.published import published_tables
from .tables.table import Table
from .tables.verdict import verdict_tables
from .text import escape
from .verdict.judge import Verdict, chosen, judge
from .verdict.sentences import rules_sentence, verdict_sentences


def _words(results: Results, found: Verdict, level: int) -> str:
    searched = " ".join(how_chosen(results.trials))
    parts = [
        f"{'#' * level} Verdict\n\n{rules_sentence(found.rules)}\n",
        *([f"{escape.markdown(searched)}\n"] if searched else []),
    ]
    for heading, sentences in verdict_sentences(found):
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
            margin: largest difference in points that does not matter; None: as fixed with the run.
            alpha: level of every test; None: as fixed with the run.
            accuracy_from: a runtime whose accuracies replace the recorded ones of the selection by source validation.

        Raises:
            ConfigError: margin or alpha out of range.
            RecordError: ``root`` is not a run folder of this schema, or a cell was not deployed in that runtime.
        """
        results = load(root)
        if accuracy_from is not None:
            cells = recomputed(results.cells, results.deployed, accuracy_from)
            without = recomputed_or_absent(results.without_search, results.deployed, accuracy_from)
            results = replace(results, cells=cells, without_search=without)
            results.provenance["accuracy from", accuracy_from] = results.cells["key"].nunique()
        fixed = read_rules(root)
        rules = chosen(results.rules, margin, alpha)
        if fixed not in (rules, None):
            results.provenance["verdict", f"decided by {rules}, the run had fixed {fixed}"] = 1
        results = replace(results, rules=rules)
        return cls(results, judge(results))

    @cached_property
    def _tables(self) -> tuple[list[Table], list[Problem]]:
        return collect_tables(self.results)

    @cached_property
    def _figures(self) -> tuple[list[Drawn], list[Problem]]:
        return collect_figures(self.results)

    @cached_property
    def failed_parts(self) -> list[Problem]:
        """List the tables, figures and metrics that could not be made, each with the reason."""
        return [*self.results.failed_metrics, *self._tables[1], *self._figures[1]]

    @cached_property
    def measured(self) -> list[Table]:
        """Return the tables of what was measured, and last what could not be used."""
        problems = problems_table(self.results.problems, self.failed_parts)
        return [*self._tables[0], *([problems] if len(problems.text) else [])]

    @cached_property
    def judged(self) -> list[Table]:
        """Return the tables of the verdict."""
        return verdict_tables(self.verdict)

    @cached_property
    def reported(self) -> list[Table]:
        """Return the tables that set what papers report beside what was measured."""
        return [*published_tables(self.results)]

    @cached_property
    def drawings(self) -> list[Drawing]:
        """Return the figures, the gains first."""
        return [drawn.drawing for drawn in self._figures[0]]

    @cached_property
    def listed(self) -> list[Table]:
        """Return the measured tables without those that stand aside."""
        return [table for table in self.measured if not table.aside]

    @cached_property
    def left_out(self) -> list[str]:
        """Say which tables stand aside and why."""
        return [f"{t.name} stands in the files alone: {t.aside}" for t in self.measured if t.aside]

    def table(self, name: str) -> Table:
        """Return one table, of the verdict, measured, of a paper's numbers, or the provenance.

        Args:
            name: its file name without ending, or a beginning of it that no other table has.

        Raises:
            UnknownNameError: there is none of this name.
            ConfigError: several names begin so.
        """
        makers: list[Callable[[], list[Table]]] = [
            lambda: self.judged,
            lambda: self._tables[0],
            lambda: [provenance_table(self.results), *self.reported],
            lambda: self.measured[-1:],
        ]
        known: dict[str, Table] = {}
        for make in makers:
            known |= {table.name: table for table in make()}
            if name in known:
                return known[name]
        found = [other for other in known if other.startswith(name)]
        if len(found) > 1:
            raise ConfigError(f"{name} begins {len(found)} names of tables; write one of {', '.join(found)}")
        if not found:
            alike = {other: SequenceMatcher(None, name, other[: len(name)]).ratio() for other in known}
            raise UnknownNameError("table", name, known, near=sorted(alike, key=alike.__getitem__)[:-4:-1])
        return known[found[0]]

    def summary(self) -> str:
        """Write the measured tables as Markdown, without those that stand aside."""
        aside = [f"{escape.markdown(line)}\n" for line in self.left_out]
        return "\n".join([f"{status_line(self.results)}\n", *(table.markdown() for table in self.listed), *aside])

    def words(self) -> str:
        """Write the verdict in words and tables as Markdown."""
        made = (table.markdown() for table in self.judged)
        return "\n".join([f"{status_line(self.results)}\n", _words(self.results, self.verdict, 2), *made])

    def text(self) -> str:
        """Return the text of report.md: the verdict, all tables, figures and provenance."""
        parts = [f"# QuantDG report\n\n{status_line(self.results)}\n"]
        if self.verdict.scopes:
            parts.append(_words(self.results, self.verdict, 2))
        parts += [table.markdown(level=2) for table in (*self.judged, *self.measured)]
        if self.drawings:
            parts.append("## Figures\n")
        for drawing, files in self._figures[0]:
            parts += [f"![{escape.markdown(drawing.heading)}]({name}.svg)\n" for name in files]
        parts.append(provenance_table(self.results).markdown(level=2))
        return "\n".join(parts)

    def write(self, out: Path, style: Style = "screen") -> list[Path]:
        """Write report.md, each table as .md, .csv and .tex, and each figure as .svg, .pdf and, unless it is large, .png.

        Files of an earlier report with the same names are replaced, and a figure's .png is removed where it has none now; the
        same records give the same bytes.

        Args:
            out: the folder.
            style: ``paper``: figures as wide as a column, 3.25 inches, with letters of 8 points and without titles,
                as .svg and .pdf.

        Returns:
            The files written, report.md first.
        """
        files: dict[str, str | bytes] = {"report.md": self.text()}
        for table in (*self.judged, *self.measured, *self.reported, provenance_table(self.results)):
            files[f"{table.name}.md"] = table.markdown(level=1)
            files[f"{table.name}.csv"] = table.csv()
            files[f"{table.name}.tex"] = table.latex()
        for drawn in self._figures[0]:
            files |= figure_files(drawn, style)
        for name, data in files.items():
            write_atomic(out / name, data)
        images = [f"{name}.png" for drawn in self._figures[0] for name in drawn.svg]
        remove(*(out / name for name in images if name not in files))
        return [out / name for name in files]
