"""One job, wherever it runs: cells to records, each under a lease, each going on where an earlier attempt was stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ...core.errors import RecordError, one_line
from ...quantizers.noise_matching import UnmatchedError
from ..experiment.grid import Cell, Group, Paths
from ..experiment.launcher import Launcher
from ..results.files import StorageError
from ..results.record import Record
from ..results.store import RunStore
from ..training.branch import train_branch
from ..training.checkpoint import State, load_state
from ..training.checkpointer import Checkpointer, StoppedError
from ..training.data import CellData
from ..training.float_phase import float_phase
from ..training.ranks import PeerLostError
from .crew import Crew
from .execute import cell_incompatibility, open_data, result_of, without_result
from .failure import CellFailedError, check_finite, failed_record
from .lease import Lease, LeaseLostError, Leases
from .lease_file import Holder

POLL_SECONDS = 0.5


class _BusyError(Exception):
    def __init__(self, holder: Holder) -> None:
        self.holder = holder


def _ignore(_: object) -> None:
    pass


def _never() -> bool:
    return False


@dataclass
class Job:
    """A job is what one process needs to run cells.

    Attributes:
        store: the run folder.
        paths: where data and cache are.
        launcher: threads, device and patience of the sweep.
        report: told training steps as they are done.
        begin: told the path of a cell that this job takes on.
        stop: asked between steps; true ends the job with StoppedError once its training is saved.
        tell: told in a line what is wrong with a stored state, which is then trained again.
        debug: a cell that fails ends the job with CellFailedError, and nothing of it is stored.
    """

    store: RunStore
    paths: Paths
    launcher: Launcher
    report: Callable[[int], None] = _ignore
    begin: Callable[[str], None] = _ignore
    stop: Callable[[], bool] = _never
    tell: Callable[[str], None] = _ignore
    debug: bool = False
    leases: Leases = field(init=False)
    _data: tuple[str, CellData] | None = None
    _float: tuple[str, State] | None = None
    _crew: Crew | None = None

    def __post_init__(self) -> None:
        self.leases = Leases(self.store.work, self.launcher.lease_seconds)

    def attempt(self, cell: Cell) -> Record | Holder:
        """Return the cell's record, or who else is working on it or on its float phase.

        Raises StoppedError, StorageError, PeerLostError; any other failure is a record.
        """
        if (record := self.store.read(cell.key)) is not None:
            return record
        lease = self.leases.acquire(cell.key)
        if isinstance(lease, Holder):
            return lease
        try:
            with lease:
                return self._store(self._record(cell, lease), lease)
        except _BusyError as busy:
            return busy.holder
        except LeaseLostError:
            return self.store.read(cell.key) or self.leases.holder(cell.key) or self.attempt(cell)

    def execute(self, cells: Iterable[Cell], waiting: Callable[[int, Holder], None]) -> Iterator[Record]:
        """Yield a record for each cell as it is ready; wait for those that others are working on.

        ``waiting`` is told how many are left and who has one of them, once for each time nothing else is to do.
        """
        try:
            yield from self._execute(deque(cells), waiting)
        finally:
            self.close()

    def _execute(self, todo: deque[Cell], waiting: Callable[[int, Holder], None]) -> Iterator[Record]:
        idle = 0
        while todo:
            cell = todo.popleft()
            found = self.attempt(cell)
            if isinstance(found, Record):
                idle = 0
                yield found
                continue
            todo.append(cell)
            idle += 1
            if idle == len(todo):
                waiting(len(todo), found)
            if idle >= len(todo):
                time.sleep(POLL_SECONDS)
                if self.stop():
                    raise StoppedError("stopped while waiting for other jobs; the same command goes on")

    def _record(self, cell: Cell, lease: Lease) -> Record:
        if (record := self.store.read(cell.key)) is not None:
            return record
        began = time.perf_counter()
        self.begin(cell.labels.path)
        try:
            record = self._run(cell, lease)
            check_finite(record)
        except (_BusyError, LeaseLostError, StoppedError, StorageError, PeerLostError):
            raise
        except UnmatchedError as error:
            record = without_result(cell, "unsupported", one_line(error), self.launcher)
        except (Exception, SystemExit) as error:  # any other failure is a result of this cell
            if self.debug:
                raise CellFailedError(cell) from error
            record = failed_record(cell, error, self.store, self.launcher)
        record.timings["total_s"] = round(time.perf_counter() - began, 3)
        return record

    def _store(self, record: Record, lease: Lease) -> Record:
        lease.check()
        if not self.store.write_first(record):
            kept = self.store.read(record.key)
            if kept is None:  # a torn file from outside this program
                self.store.write(record)
            record = kept or record
        self._checkpointer(record.key, lease).delete()
        return record

    def _checkpointer(self, name: str, lease: Lease) -> Checkpointer:
        path, seconds = self.store.snapshot_path(name), self.launcher.checkpoint_seconds
        return Checkpointer(path, seconds, lease.check, self.stop, tell=self.tell)

    def _run(self, cell: Cell, lease: Lease) -> Record:
        data = self._open(cell.group)
        refused = cell_incompatibility(cell, data)
        if refused:
            return without_result(cell, *refused, self.launcher)
        began = time.perf_counter()
        state = self._float_state(cell.group, data)
        float_s = time.perf_counter() - began
        with self._together(cell, data):
            sent = data.ranks.from_first(lambda: state)
            branch = train_branch(cell, data, sent, self.report, checkpointer=self._checkpointer(cell.key, lease))
        lease.check()
        record = result_of(cell, branch, data, self.store.root, launcher=self.launcher)
        record.timings["float_s"] = round(float_s, 3)
        return record

    def _open(self, group: Group) -> CellData:
        if self._data is None or self._data[0] != group.key:
            self._data = group.key, open_data(group, self.paths, self.launcher.device)
        return self._data[1]

    def _float_state(self, group: Group, data: CellData) -> State:
        if self._float is None or self._float[0] != group.key:
            self._float = group.key, self._load_or_train(group, data)
        return self._float[1]

    def _load_or_train(self, group: Group, data: CellData) -> State:
        path = self.store.float_path(group.key)
        with suppress(FileNotFoundError, RecordError):
            return load_state(path, data.device, group.protocol.start_step)
        lease = self.leases.acquire(group.key)
        if isinstance(lease, Holder):
            raise _BusyError(lease)
        with lease, self._together(group, data):
            return float_phase(group, data, path, self.report, checkpointer=self._checkpointer(group.key, lease))

    @contextmanager
    def _together(self, work: Cell | Group, data: CellData) -> Iterator[None]:
        """Let the other processes of the cell, where it has any, train the same within; an error ends them."""
        if data.ranks.count == 1:
            yield
            return
        try:
            if self._crew is None or self._crew.count != data.ranks.count:
                self.close()
                self._crew = Crew(data.ranks.count, self.paths, self.launcher)
            self._crew.begin(work)
            with data.ranks.joined():
                yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the other processes of a cell."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()
