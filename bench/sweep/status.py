"""How far a sweep is: read from its folder alone, also while it runs. Imports no torch."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tabulate import tabulate

from ...core.text import in_a_line
from ..cells.lease import Leases
from ..cells.lease_file import Holder, odd_leases
from ..cells.process import is_dead
from ..results.changes import ReadFolder
from ..results.record import Labels
from ..results.store import CELLS, RunStore
from ..results.summary import RecordSummary, summarize_file
from .cost import Costs
from .requested import RequestedCell, RequestedCells
from .rerun import MISSING

WINDOW_SECONDS = 600.0
RUNNING = "running"
_UNKNOWN = Labels("?", "?", 0, "?", quantizer="?", bits="?", model="?", protocol="?")
COLUMNS = ("done", RUNNING, MISSING, "failed", "unsupported", "unavailable", "damaged")


class CellState(NamedTuple):
    """This is one cell: its state, what it is, and its record in brief where there is one."""

    state: str
    labels: Labels
    summary: RecordSummary | None


@dataclass
class Status:
    """This is the state of a folder.

    Attributes:
        states: how many cells are in each state.
        table: the same for each (data set, algorithm, quantizer, bits).
        holders: the leases of this moment: what is worked on, by whom.
        failures: reason -> paths of the cells that failed with it.
        rate: cells an hour over the last `WINDOW_SECONDS`, 0 where nothing was stored.
        seconds: processor time left, None where no similar cell has been measured.
        idle: since the newest record was stored, at most the time of a cell.
        cells: all of them, those that were asked for in that order.
        ignored: a line for each file of the folder that is not what its name says.
    """

    states: Counter[str] = field(default_factory=Counter)
    table: dict[tuple[str, str, str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    holders: list[tuple[str, Holder]] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    rate: float = 0.0
    seconds: float | None = None
    idle: float = 0.0
    cells: list[CellState] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> int:
        """Processes at work."""
        return len({holder.who for _, holder in self.holders})

    @property
    def left(self) -> float | None:
        """Seconds of wall time left with these processes; None where nobody works or nothing similar is measured.

        The cells at work are counted whole but for the time since the newest record.
        """
        if self.seconds is None or not self.jobs:
            return None
        return max(0.0, self.seconds / self.jobs - self.idle)

    def text(self) -> str:
        """Return tables and lines for a terminal."""
        used = [c for c in COLUMNS if self.states[c] or c in ("done", MISSING, "failed")]
        rows = [
            [*map(in_a_line, name), *(counts[c] or "" for c in used)] for name, counts in sorted(self.table.items())
        ]
        rows.append(["all", "", "", "", *(self.states[c] or "" for c in used)])
        parts = [tabulate(rows, ["dataset", "algorithm", "quantizer", "bits", *used]), "", self._speed()]
        parts += [f"  {in_a_line(what)} on {in_a_line(holder)}" for what, holder in self.holders]
        for reason, cells in sorted(self.failures.items(), key=lambda item: -len(item[1])):
            more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
            parts += [f"{len(cells)} x {in_a_line(reason)}", f"  {in_a_line(', '.join(sorted(cells)[:3]))}{more}"]
        return "\n".join([*parts, *map(in_a_line, self.ignored)])

    def _speed(self) -> str:
        if not self.states[MISSING] + self.states[RUNNING]:
            return "nothing is missing"
        line = (
            f"{self.jobs} jobs at work, {self.rate:.3g} cells an hour over the last {WINDOW_SECONDS / 60:.0f} minutes"
        )
        if self.seconds is None:
            return f"{line}, time left unknown"
        left = f"{self.seconds / 3600:.3g} core hours left"
        return f"{line}, {left}" + (f", about {self.left / 3600:.3g} h" if self.left is not None else "")


def read_status(store: RunStore) -> Status:
    """Read the state of a folder; leases whose process certainly died are not counted, others are."""
    return StatusReader(store).read()


class StatusReader:
    """This reads the state of a folder again and again; a record that has not changed is not read again.

    Args:
        store: the run folder.
        keys: of the cells to consider; None for all that were asked for or have a record.
    """

    def __init__(self, store: RunStore, keys: Collection[str] | None = None) -> None:
        self.store, self.keys = store, keys
        self._requested = RequestedCells(store)
        self._records = ReadFolder(store.root, CELLS, summarize_file)

    def read(self) -> Status:
        """Return the state of this moment."""
        store = self.store
        wanted, damaged = self._requested.update()
        status = Status(ignored=[*odd_leases(store.work), *(plan.reason for plan in damaged)])
        holders = Leases(store.work).newest().values()  # before the records, so that none is both
        summaries = self._records.update()
        held = {h.name: h for h in holders if h.name not in summaries and _may_live(h, store)}
        status.holders = sorted(((_what(name, wanted), h) for name, h in held.items()), key=lambda pair: pair[0])
        open_cells = []
        for key in self.keys if self.keys is not None else {**wanted, **summaries}:
            summary, cell = summaries.get(key), wanted.get(key)
            state = summary.state if summary else RUNNING if key in held else MISSING
            if cell is not None and summary is None:
                open_cells.append(cell)
            _count(status, state, summary, cell)
        _estimate(status, open_cells, summaries, store)
        return status


def _what(name: str, wanted: dict[str, RequestedCell]) -> str:
    """A lease in words."""
    if name in wanted:
        return wanted[name].labels.path
    labels = next((cell.labels for cell in wanted.values() if cell.group == name), None)
    place = f"{labels.dataset}/{labels.target}/{labels.seed}/{labels.algorithm}" if labels else name
    return f"float phase {place}"


def _may_live(holder: Holder, store: RunStore) -> bool:
    stored = store.float_path(holder.name).exists()
    return not stored and (holder.who is None or not is_dead(holder.who))


def _count(status: Status, state: str, summary: RecordSummary | None, cell: RequestedCell | None) -> None:
    labels = summary.labels if summary and summary.labels else cell.labels if cell else _UNKNOWN
    status.cells.append(CellState(state, labels, summary))
    status.states[state] += 1
    status.table[labels.dataset, labels.algorithm, labels.quantizer, labels.bits][state] += 1
    if summary and summary.state in ("failed", "damaged"):
        status.failures[f"{summary.state}: {summary.reason}"].append(labels.path)


def _estimate(status: Status, cells: list[RequestedCell], summaries: dict[str, RecordSummary], store: RunStore) -> None:
    now: Any = time.time()
    newest = max((b.modified for b in summaries.values()), default=now)
    now = max(now, newest)  # a file server's clock may be ahead
    recent = sum(now - b.modified < WINDOW_SECONDS for b in summaries.values())
    status.rate = recent * 3600 / WINDOW_SECONDS
    costs = Costs(summaries.values())
    seconds = [costs.branch(cell.labels, cell.steps) for cell in cells]
    known = [s for s in seconds if s is not None]
    groups = {cell.group: cell for cell in cells}
    shared = [
        costs.shared(cell.labels, cell.shared_steps) or 0.0
        for group, cell in groups.items()
        if not store.float_path(group).exists()
    ]
    if known or not cells:
        status.seconds = sum(known) / max(1, len(known)) * len(cells) + sum(shared)
        status.idle = min(now - newest, sum(known) / max(1, len(known)))
