"""The progress of a run: a bar in a terminal, now and then a line elsewhere, failures as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...core.text import printable
from ..results.deployment import Deployment
from ..results.record import Record, quantizer_label

LINE_SECONDS = 60
"""Between lines: how far it is in a log file, where a bar cannot move, and whom it waits for."""


def progress_bar(console: Console) -> Progress:
    """Make the bar of a run, with its time so far and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def tell(console: Console, text: str) -> None:
    """Print a line in which nothing is markup or a command to the terminal, however long it is."""
    console.print(printable(text), markup=False, soft_wrap=True, highlight=False)


@contextmanager
def deploy_watch(console: Console) -> Iterator[Callable[[Deployment], None]]:
    """Follow deployments: the newest in a terminal's last line, and in the end one line for what came out alike."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    with console.status("deploying") as status:

        def watch(made: Deployment) -> None:
            cell = quantizer_label(made.labels.quantizer, made.labels.bits)
            status.update(printable(f"deployed {cell} in {made.runtime}"))
            alike.setdefault((made.runtime, made.kind, made.reason), []).append(cell)

        try:
            yield watch
        finally:
            status.stop()
            for (runtime, kind, reason), found in alike.items():
                names = ", ".join(dict.fromkeys(found))
                tell(console, f"deployed in {runtime}: {len(found)} {kind} ({names}){f': {reason}' if reason else ''}")


class Watch:
    """A watch follows a run by its training steps.

    Args:
        progress: the bar.
        steps: of all cells that run.
        clock: seconds.
    """

    def __init__(self, progress: Progress, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress, self.steps, self.clock, self.cells = progress, steps, clock, 0
        self.task = progress.add_task("training", total=steps)
        self.began = self.told = clock()
        self.waited = self.began - LINE_SECONDS

    def __call__(self, kind: str, value: object) -> None:
        """Take an event of the engine."""
        if isinstance(value, int):
            self.progress.advance(self.task, value)
        elif isinstance(value, Record):
            self._record(value)
        now = self.clock()
        if kind == "note":
            self._say(str(value))
        elif isinstance(value, str) and now - self.waited >= LINE_SECONDS:
            self.waited = now
            self._say(value)
        task = self.progress.tasks[self.task]
        if not self.progress.console.is_terminal and now - self.told >= LINE_SECONDS and task.completed:
            self.told = now
            minutes = (now - self.began) / 60
            left = minutes * max(0, self.steps - task.completed) / task.completed
            self._say(
                f"{self.cells} cells, {task.percentage:.0f} % of the steps, {minutes:.0f} min, about {left:.0f} min left"
            )

    def _say(self, text: str) -> None:
        tell(self.progress.console, text)

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
            self._say(f"failed: {where}: {record.reason}")
