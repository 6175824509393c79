"""What a board shows, made from the state of a folder; how it looks is the business of the terminal and of the page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..results.record import quantizer_label
from ..results.summary import RecordSummary
from ..sweep.rerun import MISSING
from ..sweep.status import COLUMNS, RUNNING, WINDOW_SECONDS, Status

LATEST = 8
WAITING = "waiting"
"""A board's word for cells without a record that nobody works on."""
STATES = tuple(WAITING if name == MISSING else name for name in COLUMNS)


@dataclass(frozen=True)
class LatestCell:
    """This cell ended lately with a result.

    Attributes:
        cell: its path.
        source: source-validation accuracy of its iid checkpoint, mean over domains, 0 to 1; None where unknown.
        target: accuracy of the same weights on the target domain, 0 to 1; None where unknown.
        domain: the target domain's name.
        ago: seconds since it was stored.
    """

    cell: str
    source: float | None
    target: float | None
    domain: str
    ago: float


@dataclass(frozen=True)
class Failure:
    """These cells failed, or their records are damaged, for one reason."""

    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A board is what is shown of a folder at one moment.

    Attributes:
        folder: its path.
        states: how many cells are in each of `STATES`.
        total: how many there are.
        jobs: processes at work.
        rate: cells an hour over the last ten minutes.
        core_seconds: processor time left, None where unknown.
        left: seconds left with the processes at work, None where unknown or nobody works.
        work: what is worked on, and by which process.
        rows: (algorithm, quantizer with bits), in the order they were asked for.
        columns: (data set, target), in that order.
        grid: for each row and column how many cells are in each state.
        latest: results, the newest first.
        failures: the commonest first.
        ignored: a line for each file of the folder that is not what its name says.
        at: the time, seconds since 1970.
    """

    folder: str
    states: dict[str, int]
    total: int
    jobs: int
    rate: float
    core_seconds: float | None
    left: float | None
    work: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    grid: tuple[tuple[dict[str, int], ...], ...] = ()
    latest: tuple[LatestCell, ...] = ()
    failures: tuple[Failure, ...] = ()
    ignored: tuple[str, ...] = ()
    at: float = field(default_factory=time.time)

    @property
    def open_cells(self) -> int:
        """How many cells wait or are worked on."""
        return self.states[WAITING] + self.states[RUNNING]

    @property
    def share(self) -> float:
        """The part of the cells that is not open, 0 to 1."""
        return (self.total - self.open_cells) / max(1, self.total)

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nobody works."""
        return not self.open_cells + self.jobs

    @classmethod
    def of(cls, folder: str, status: Status) -> Board:
        """Make the board of a state."""
        rows, columns, grid = _grid(status)
        failures = sorted(status.failures.items(), key=lambda item: -len(item[1]))
        return cls(
            folder=folder,
            states={_word(name): status.states[name] for name in COLUMNS},
            total=len(status.cells),
            jobs=status.jobs,
            rate=status.rate,
            core_seconds=status.seconds,
            left=status.left,
            work=_work(status),
            rows=rows,
            columns=columns,
            grid=grid,
            latest=_latest([cell.summary for cell in status.cells if cell.summary is not None]),
            failures=tuple(Failure(reason, tuple(sorted(cells))) for reason, cells in failures),
            ignored=tuple(status.ignored),
        )

    def counts(self) -> str:
        """Return how many cells there are, and in which states, in a line."""
        counts = [f"{count} {state}" for state, count in self.states.items() if count or state in ("done", "failed")]
        return f"{self.total} cells: {', '.join(counts)}"

    def speed(self) -> str:
        """Return how fast it goes and how long it takes, in a line."""
        if not self.open_cells:
            return "nothing is missing"
        rate = f"{self.rate:.3g} cells an hour over the last {WINDOW_SECONDS / 60:.0f} min"
        if not self.jobs:
            known = "" if self.core_seconds is None else f", {duration(self.core_seconds)} of one process"
            return f"nobody works on the {self.open_cells} cells that are missing{known}; the same quantdg run goes on"
        left = "time left unknown" if self.left is None else f"about {duration(self.left)} left"
        return f"{self.jobs} {'process' if self.jobs == 1 else 'processes'} at work, {rate}, {left}"


def duration(seconds: float) -> str:
    """Return a time in two units at most, such as ``1 h 12 min`` or ``40 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _word(state: str) -> str:
    return WAITING if state == MISSING else state


def _grid(
    status: Status,
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], tuple[tuple[dict[str, int], ...], ...]]:
    """Rows, columns and counts of states, in the order in which the cells were asked for."""
    counts: dict[tuple[tuple[str, str], tuple[str, str]], dict[str, int]] = {}
    for cell in status.cells:
        labels = cell.labels
        row, column = (
            (labels.algorithm, quantizer_label(labels.quantizer, labels.bits)),
            (labels.dataset, labels.target),
        )
        box = counts.setdefault((row, column), {})
        box[_word(cell.state)] = box.get(_word(cell.state), 0) + 1
    rows, columns = (tuple(dict.fromkeys(key[i] for key in counts)) for i in (0, 1))
    places = {algorithm: i for i, algorithm in enumerate(dict.fromkeys(algorithm for algorithm, _ in rows))}
    rows = tuple(sorted(rows, key=lambda row: places[row[0]]))
    return rows, columns, tuple(tuple(counts.get((row, column), {}) for column in columns) for row in rows)


def _work(status: Status) -> tuple[tuple[str, str], ...]:
    """One line a process: its cell, or the float phase where it has no cell."""
    found: dict[str, str] = {}
    for what, holder in sorted(status.holders, key=lambda pair: pair[0].startswith("float phase")):
        found[str(holder)] = f"{found[str(holder)]}, in the float phase" if str(holder) in found else what
    return tuple((what, who) for who, what in found.items())


def _latest(summaries: Sequence[RecordSummary]) -> tuple[LatestCell, ...]:
    done = sorted((s for s in summaries if s.state == "done" and s.labels), key=lambda s: -s.modified)[:LATEST]
    now = max([time.time(), *(s.modified for s in done)])  # a file server's clock may be ahead
    return tuple(
        LatestCell(s.labels.path, s.source, s.target, s.labels.target, ago=now - s.modified) for s in done if s.labels
    )
