"""The progress bar of a run: training steps done, failures as they come."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from quantdg.bench.records import Record


def progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


class Watch:
    """Moves a progress bar by training steps; failures are printed as they come."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps, self.cells = progress, steps, 0
        self.task = progress.add_task("training", total=steps)

    def __call__(self, kind: str, value: object) -> None:
        """Take an event of the engine."""
        if isinstance(value, int):
            self.progress.advance(self.task, value)
        elif isinstance(value, Record):
            self._record(value)

    def _record(self, record: Record) -> None:
        self.cells += 1
        self.progress.update(self.task, description=f"{self.cells} cells")
        if record.status == "done":
            return
        protocol = record.settings["protocol"]
        self.steps -= protocol["steps"] - protocol["start_step"]
        self.progress.update(self.task, total=self.steps)
        if record.status == "failed":
            label = record.labels
            where = f"{label.dataset}/{label.target} seed {label.seed} {label.algorithm} {label.quantizer} {label.bits}"
            self.progress.console.print(f"failed: {where}: {record.reason}", markup=False)
