"""The local engine: processes of their own, so that a killed one takes only its cell along.

Processes are forked from a server that has imported torch already, and go from group to group.
A cell whose process dies without a word (out of memory, killed) is lost: it is tried again, then recorded as failed.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from ...core.errors import QuantDGError
from ...core.machine import exit_cause
from ..cells.cleanup import remove_leftovers
from ..cells.execute import without_result
from ..cells.job import Job
from ..cells.lease import Leases
from ..cells.lease_file import Holder
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.files import StorageError
from ..results.store import RunStore
from ..training.seeds import use_deterministic
from .capacity import device_of, jobs_of, jobs_with
from .queue import CellQueue, waiting_line
from .worker import GRACE_SECONDS, work

Watcher = Callable[[str, Any], None]
"""It is told ``steps`` with a count, ``cell`` with a path, ``record`` with a Record, ``waiting`` and ``note`` with a line."""

PRELOAD = ["quantdg.bench.engines.worker", "torch._inductor", "numba"]  # what the first step imports: 2 s
POLL_SECONDS = 0.5
EARLY_DEATHS = 10


def run_cells(
    cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher, *, debug: bool = False
) -> None:
    """Run cells to their records; returns when each has one, by this driver or another.

    With ``debug`` they run in this process, and the first that fails raises CellFailedError.
    KeyboardInterrupt lets the processes save their trainings first; a second one kills them. Raises StorageError.
    """
    if jobs_of(launcher) and not debug:
        _Pool(CellQueue(cells, lambda key: store.float_path(key).exists()), store, paths, launcher, watch=watch).run()
        return
    use_deterministic(launcher.threads)
    steps, cell, note = (partial(watch, kind) for kind in ("steps", "cell", "note"))
    job = Job(store, paths, launcher, steps, begin=cell, tell=note, debug=debug)
    for record in job.execute(cells, lambda left, holder: watch("waiting", waiting_line(left, str(holder)))):
        watch("record", record)


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    group: str | None
    slot: int
    cell: Cell | None = None
    asked: bool = False


class _Pool:
    def __init__(self, queue: CellQueue, store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher) -> None:
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.queue, self.store, self.paths = queue, store, paths
        self.launcher, self.watch = launcher, watch
        self.workers: list[_Worker] = []
        self.jobs, self.room = jobs_of(launcher), 0
        self.leases = Leases(store.work, launcher.lease_seconds)
        self.early, self.next_poll = 0, 0.0
        self.abandoned: dict[str, Holder] = {}

    def run(self) -> None:
        """Run processes until every cell has a record, here or elsewhere."""
        try:
            while True:
                while len(self.workers) < self.jobs and (group := self.queue.open_group()) is not None:
                    self._start(group)
                if self.workers:
                    self._listen()
                elif self.queue.deferred:
                    time.sleep(POLL_SECONDS)
                else:
                    break
                self._poll_leases_and_kill_stuck()
        finally:
            self._end()
        remove_leftovers(self.store)

    def _start(self, group: str) -> None:
        ours, theirs = self.context.Pipe()
        slot = min(set(range(len(self.workers) + 1)) - {w.slot for w in self.workers})
        launcher = replace(self.launcher, device=device_of(self.launcher, slot))
        process = self.context.Process(target=work, args=(theirs, self.store, self.paths, launcher), daemon=True)
        try:
            process.start()
        except (EOFError, OSError) as error:  # the server that forks was killed; once it is gone, a start makes another
            ours.close()
            self._early_death(f"{type(error).__name__}: {error}")
            time.sleep(POLL_SECONDS)
            return
        finally:
            theirs.close()
        self.queue.join(group)
        self.workers.append(_Worker(process, ours, group, slot))  # pyright: ignore[reportArgumentType]

    def _listen(self) -> None:
        ready = wait([w.pipe for w in self.workers], timeout=POLL_SECONDS)
        for worker in [w for w in self.workers if w.pipe in ready]:
            try:
                kind, value = worker.pipe.recv()
                self._answer(worker, kind, value)
            except (EOFError, OSError):
                self._after_end(worker)

    def _answer(self, worker: _Worker, kind: str, value: Any) -> None:
        if kind == "next":
            worker.asked = True
            worker.cell = self._next_cell(worker)
            self.watch("cell", worker.cell.labels.path if worker.cell else "")
            worker.pipe.send((worker.cell, self._abandoned(worker.cell)))
        elif kind in ("steps", "note"):
            self.watch(kind, value)
        elif kind == "record":
            self._announce(value)
            worker.cell, self.early = None, 0
        elif kind == "busy" and worker.cell is not None:
            self._defer(worker.cell, *value)
            worker.cell = None
        elif kind == "room" and not self.room:  # the first report counts, since others share the GPU then
            self.room, self.jobs = value, jobs_with(self.launcher, value)
        elif kind == "storage":
            raise StorageError(value)

    def _abandoned(self, cell: Cell | None) -> list[Holder]:
        """Return the leases that the process need not watch again for so long."""
        names = (cell.key, cell.group.key) if cell else ()
        return [self.abandoned[name] for name in names if name in self.abandoned]

    def _next_cell(self, worker: _Worker) -> Cell | None:
        while worker.group is not None:
            if (cell := self.queue.take(worker.group)) is not None:
                return cell
            worker.group = self.queue.move(worker.group)
        return None

    def _announce(self, key: str) -> None:
        """Tell the watcher a record that is stored."""
        record = self.store.read(key)
        if record is not None:
            self.watch("record", record)

    def _defer(self, cell: Cell, lease: str, holder: str) -> None:
        self.queue.defer(cell, whole_group=lease == cell.group.key)
        if not self.queue.waiting:
            self.watch("waiting", waiting_line(len(self.queue.deferred), holder))

    def _poll_leases_and_kill_stuck(self) -> None:
        """Look at all leases, at most every `POLL_SECONDS`, and kill processes of this driver that stand still."""
        now = time.monotonic()
        if now < self.next_poll:
            return
        if now - self.next_poll > self.launcher.lease_seconds / 2:  # stopped by Ctrl-Z, say: nobody was watched
            self.leases = Leases(self.store.work, self.launcher.lease_seconds)
        self.next_poll, holders = now + POLL_SECONDS, self.leases.newest()
        self.abandoned = {name: holder for name, holder in holders.items() if self.leases.abandoned(holder)}
        self._collect_deferred(holders.keys() - self.abandoned.keys())
        self._kill_stuck()

    def _collect_deferred(self, held: set[str]) -> None:
        """Take up cells that others had: done by now, or free again because their process died."""
        for cell in self.queue.deferred:
            if self.store.cell_path(cell.key).exists():
                self.queue.drop(cell)
                self._announce(cell.key)
            elif cell.key not in held and cell.group.key not in held:
                self.queue.resume(cell)

    def _kill_stuck(self) -> None:
        """Kill each process whose lease this driver has seen stand still; it then counts as one that died."""
        for worker in self.workers:
            holder = self.abandoned.get(worker.cell.key) if worker.cell else None
            if holder is not None and holder.who is not None and holder.who.pid == worker.process.pid:
                worker.process.kill()

    def _after_end(self, worker: _Worker) -> None:
        """Count out a process that has ended, and requeue or give up the cell it had."""
        worker.pipe.close()
        worker.process.join(GRACE_SECONDS)
        worker.process.kill()
        worker.process.join()
        self.workers.remove(worker)
        if worker.group is not None:
            self.queue.leave(worker.group)
        code = worker.process.exitcode or 0
        if not worker.asked:
            self._early_death(exit_cause(code))
        if (cell := worker.cell) is None:
            return
        if self.store.read(cell.key) is not None:
            self._announce(cell.key)
        elif (
            deaths := self.queue.record_death(cell, self.store.progress(cell.key, cell.group.key))
        ) <= self.launcher.max_lost:
            self.queue.requeue(cell)
        else:
            self._give_up(cell, f"its process died {deaths} times: {exit_cause(code)}")

    def _early_death(self, why: str) -> None:
        self.early += 1
        if self.early >= EARLY_DEATHS:
            died = f"{self.early} died before their first cell ({why})"
            raise QuantDGError(f"processes must live to train, but {died}; write launcher.jobs=0 to see why")

    def _give_up(self, cell: Cell, reason: str) -> None:
        """Record a cell as failed, unless another driver works on it by now."""
        lease = self.leases.acquire(cell.key)
        if isinstance(lease, Holder):
            self.queue.defer(cell, whole_group=False)
            return
        with lease:
            self.store.write_first(without_result(cell, "failed", reason, self.launcher))
            self.store.snapshot_path(cell.key).unlink(missing_ok=True)
        self._announce(cell.key)

    def _end(self) -> None:
        """End every process: they may save first, unless Ctrl-C comes again."""
        for worker in self.workers:
            worker.pipe.close()
            with suppress(OSError):
                worker.process.terminate()
        try:
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in self.workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self.workers:
                worker.process.kill()
            for worker in self.workers:
                worker.process.join()
