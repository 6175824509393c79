"""A run folder as data frames, read from its records alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path

import pandas as pd

from quantdg.bench.results.record import HEADLINE
from quantdg.reports.frames import gains
from quantdg.reports.frames import results as frames
from quantdg.reports.frames.columns import METHOD, ROW, SECTION
from quantdg.reports.page.page import write_html
from quantdg.reports.report import Report
from quantdg.reports.tables import accuracy
from quantdg.reports.tables.failures import failures_table
from quantdg.reports.tables.provenance import status_counts
from quantdg.reports.verdict.judge import chosen, judge

from .judgement import Judgement

StrPath = str | PathLike[str]


@dataclass(frozen=True, repr=False)
class Runs:
    """What a run folder holds, as it was when it was loaded; every frame has one row per number or cell.

    Rows are named by the columns dataset, model, protocol, algorithm, quantizer and bits, where they belong to a
    cell also by target, seed and the record's key, and where a checkpoint was chosen by selection (``iid`` is the
    primary rule, ``oracle`` looks at the target).

    Attributes:
        folder: of the run.
        results: all that was read.
    """

    folder: Path
    results: frames.Results

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Accuracy of every done cell and selection rule on the target's 80 % part, in %."""
        cells = self.results.cells
        done = cells[cells["status"] == "done"].drop(columns=["status", "reason"])
        return done.assign(accuracy=100 * done["accuracy"]).reset_index(drop=True)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Gain over float in points: the same algorithm, selection rule, target and seed; no row without both."""
        rows = [
            (*section, *method, target, seed, float(values[t, s]))
            for section, cube in self.results.cubes.items()
            for method, values in gains.over_float(cube)
            for t, target in enumerate(cube.targets)
            for s, seed in enumerate(cube.seeds)
        ]
        frame = pd.DataFrame(rows, columns=[*SECTION, *ROW, "target", "seed", "gain"])
        return frame.dropna(subset="gain").reset_index(drop=True)

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """Bytes of the files written for each cell: float_file, packed_file, and what the latter is made of."""
        return self._by_cell(self.results.sizes)

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Milliseconds of each cell and runtime that was measured, batch by batch."""
        return self._by_cell(self.results.latency)

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Medians over the layers of each cell: codes in use, noise, saturation, movement."""
        return self._by_cell(self.results.audit)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Checkpoints of each cell: step, source_acc and target_out (0 to 1), weight noise over signal."""
        return self._by_cell(self.results.curves)

    @cached_property
    def flatness(self) -> pd.DataFrame:
        """Flatness measures of each cell, where the run took them."""
        return self._by_cell(self.results.flatness)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Numbers that metrics of other packages computed: metric, value."""
        return self._by_cell(self.results.metrics)

    def _by_cell(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame's own columns after those that name a cell."""
        names = [*SECTION, *METHOD, "target", "seed"]
        cells = self.results.cells.drop_duplicates("key").set_index("key")[names]
        own = frame.drop(columns=[name for name in names if name in frame])
        return own.join(cells, on="key")[[*names, *(c for c in own if c != "key"), "key"]]

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Cells without a result, each with its status and reason; ``missing`` has no record yet."""
        return failures_table(self.results).numbers

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """(file, reason) of each file of the folder that could not be used."""
        return self.results.problems

    def verdict(
        self, *, margin: float | None = None, alpha: float | None = None, selection: str = HEADLINE
    ) -> Judgement:
        """Whether the gain holds under every quantizer.

        Args:
            margin: largest difference in points that does not matter; None: as fixed with the run.
            alpha: level of every test, 0 to 1; None: as fixed with the run.
            selection: the rule whose accuracies count.

        Raises:
            ConfigError: margin or alpha out of range.
        """
        results = replace(self.results, rules=chosen(self.results.rules, margin, alpha))
        found = judge(results, selection)
        return Judgement(found, Report(results, found).words())

    def report(self, out: StrPath | None = None, html: StrPath | None = None) -> list[Path]:
        """Write the report: tables as Markdown, CSV and LaTeX, figures as SVG, PDF and, but for large ones, PNG.

        Args:
            out: folder; None: ``report`` in the run folder.
            html: file for one self-contained page; None: none.

        Returns:
            The files written, report.md first, the page last.
        """
        made = Report.of(self.folder)
        files = made.write(self.folder / "report" if out is None else Path(out))
        return files if html is None else [*files, write_html(made, Path(html))]

    def __repr__(self) -> str:
        """One line: folder and how many cells have which status."""
        return f"<Runs {self.folder}: {status_counts(self.results)}>"

    def _repr_html_(self) -> str:
        """The main table of each data set, model and protocol, primary selection rule only, for notebooks."""
        parts = [f"<p>{escape(repr(self))}</p>"]
        for section, cells in self.results.sections():
            primary = cells[cells["selection"] == HEADLINE]
            if len(primary):
                made = accuracy.accuracy_table(
                    primary, "accuracy", "Accuracy in % by target domain: {}, {}, {}".format(*section)
                )
                shown = made.text.drop(columns=[c for c in ROW if c not in METHOD])
                parts.append(f"<p>{escape(made.title)}</p>{shown.to_html(index=False, border=0)}")
        return "\n".join(parts)


def load(folder: StrPath) -> Runs:
    """Read a run folder; no torch is imported for it.

    Raises:
        RecordError: it is no run folder, was written with another schema, or holds cells that cannot be told apart.
    """
    root = Path(folder)
    return Runs(root, frames.load(root))
