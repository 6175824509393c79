"""The progress of a run: a bar in a terminal, now and then a line elsewhere, failures as they come."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from ...core.text import printable
from ..results.deployment import Deployment
from ..results.record import Record, quantizer_label

if TYPE_CHECKING:
    from typing_extensions import Self

LINE_SECONDS = 60
"""Between lines: how far it is in a log file, where a bar cannot move, and whom it waits for."""


RECKON_SECONDS = 5
"""Between two looks at how long it will take, on a terminal."""


def progress_bar(console: Console) -> Progress:
    """Make the bar of a run, with its time so far, the time left and the cell that began last."""
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.percentage:>3.0f}%"))
    cell = TextColumn("{task.fields[cell]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[left]}"), cell, console=console)


def tell(console: Console, text: str) -> None:
    """Print a line in which nothing is markup or a command to the terminal, however long it is."""
    console.print(printable(text), markup=False, soft_wrap=True, highlight=False)


class Alike:
    """This tells the first message of a kind at once and counts further ones, so that a fault of many cells is few lines.

    Messages are of a kind where they differ in numbers alone.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._more: dict[str, tuple[str, list[str]]] = {}

    def tell(self, what: str, message: str, where: str = "") -> None:
        """Take a message; ``what`` it is (``failed``) and ``where`` it arose are named with it."""
        kind = f"{what}: {_NUMBER.sub('N', message)}"
        if kind in self._more:
            self._more[kind][1].append(where)
        else:
            self._more[kind] = f"{what}, as before: {message}", []
            self.say(": ".join(filter(None, (what, where, message))))

    def sum_up(self) -> None:
        """Say what came since the last time, each kind in one line."""
        for kind, (message, places) in self._more.items():
            if places:
                self.say(f"{len(places)} more {message}{_some(places)}")
                self._more[kind] = message, []


_NUMBER = re.compile(r"\d+(\.\d+)?")


def _some(places: Sequence[str]) -> str:
    """Up to three places in brackets, with the number of the others."""
    named = list(dict.fromkeys(filter(None, places)))
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return f" ({', '.join(named[:3])}{more})" if named else ""


def _minutes(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min left" if seconds >= 60 else f"about {seconds:.0f} s left"


class DeployWatch:
    """This follows deployments: the newest in a terminal's last line, now and then a line elsewhere.

    In the end there is one line for what came out alike. Use it in a ``with`` block.

    Args:
        console: where it is told.
        clock: seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.began = self.told = clock()
        self.alike: dict[tuple[str, str, str], list[str]] = {}
        self.status = console.status("deploying")

    def __enter__(self) -> Self:
        self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status.stop()
        for (runtime, kind, reason), found in self.alike.items():
            names = ", ".join(dict.fromkeys(found))
            why = f": {reason}" if reason else ""
            tell(self.console, f"deployed in {runtime}: {len(found)} {kind} ({names}){why}")

    def __call__(self, made: Deployment, left: int) -> None:
        """Take a new deployment, and how many are still to come."""
        labels, now = made.labels, self.clock()
        self.alike.setdefault((made.runtime, made.kind, made.reason), []).append(
            quantizer_label(labels.quantizer, labels.bits)
        )
        done = sum(map(len, self.alike.values()))
        line = f"deployed {labels.path} in {made.runtime}, {done} of {done + left}"
        if left:
            line += f", {_minutes((now - self.began) * left / done)}"
        self.status.update(printable(line))
        if not self.console.is_terminal and now - self.told >= LINE_SECONDS:
            self.told = now
            tell(self.console, line)


class Watch:
    """A watch follows a run by its training steps.

    Args:
        progress: the bar.
        steps: of all cells that run.
        cells: how many run.
        clock: seconds.
        stored: told the key of each cell that is stored.
        left: returns the seconds left, None where it cannot know; then they are reckoned from the steps done.
    """

    def __init__(
        self,
        progress: Progress,
        steps: int,
        cells: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        stored: Callable[[str], None] | None = None,
        left: Callable[[], float | None] | None = None,
    ) -> None:
        self.progress, self.steps, self.cells, self.clock = progress, steps, cells, clock
        self.count, self.cell, self.stored, self.left = 0, "", stored, left
        self.task = progress.add_task("training", total=steps, cell="", left="")
        self.began = self.told = self.reckoned = clock()
        self.waited = self.began - LINE_SECONDS
        self.alike = Alike(self._say)

    def __call__(self, kind: str, value: object) -> None:
        """Take an event of the engine."""
        if isinstance(value, int):
            self.progress.advance(self.task, value)
        elif isinstance(value, Record):
            self._record(value)
        elif kind == "cell":
            self.cell = str(value) or self.cell
        elif kind == "note":
            self.alike.tell("note", str(value))
        elif self.clock() - self.waited >= LINE_SECONDS:
            self.waited = self.clock()
            self._say(str(value))
        if kind in ("cell", "record"):
            self.progress.update(self.task, description=self._counts(), cell=printable(self.cell))
        self._line()

    def finish(self) -> None:
        """Say what has not been said yet."""
        self.alike.sum_up()

    def _counts(self) -> str:
        return f"{self.count} of {self.cells} cells"

    def _left(self) -> str:
        """The time left in words; empty before the first step."""
        task = self.progress.tasks[self.task]
        known = self.left() if self.left is not None else None
        if known is None and not task.completed:
            return ""
        took = self.clock() - self.began
        return _minutes(took * max(0, self.steps - task.completed) / task.completed if known is None else known)

    def _line(self) -> None:
        """Once a minute say how far it is, where the bar does not, and what came again since then."""
        now, task = self.clock(), self.progress.tasks[self.task]
        if self.progress.console.is_terminal and now - self.reckoned >= RECKON_SECONDS:
            self.reckoned = now
            self.progress.update(self.task, left=self._left())
        if now - self.told < LINE_SECONDS:
            return
        self.told = now
        self.alike.sum_up()
        if not self.progress.console.is_terminal and task.completed:
            took = now - self.began
            newest = f", at {self.cell}" if self.cell else ""
            self._say(
                f"{self._counts()}, {task.percentage:.0f} % of the steps, {took / 60:.0f} min, {self._left()}{newest}"
            )

    def _say(self, text: str) -> None:
        tell(self.progress.console, text)

    def _record(self, record: Record) -> None:
        self.count += 1
        if self.stored is not None:
            self.stored(record.key)
        if record.status == "done":
            return
        protocol = record.settings["protocol"]
        self.steps -= protocol["steps"] - protocol["start_step"]
        self.progress.update(self.task, total=self.steps)
        if record.status == "failed":
            self.alike.tell("failed", record.reason, record.labels.path)
