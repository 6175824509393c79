"""The local engine: processes of their own, so that a killed one takes only its cell along.

Processes are forked from a server that has imported torch already, and go from group to group.
A cell whose process dies without a word (out of memory, killed) is lost: it is tried again, then recorded as failed.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from ...core.errors import QuantDGError
from ..cells.cleanup import remove_leftovers
from ..cells.execute import without_result
from ..cells.job import Job
from ..cells.lease import Holder, Leases
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.files import StorageError
from ..results.store import RunStore
from ..training.seeds import use_deterministic
from .capacity import device_of, jobs_of
from .queue import CellQueue
from .worker import GRACE_SECONDS, work

Watcher = Callable[[str, Any], None]
"""Told ``steps`` with a count, ``record`` with a Record and ``waiting`` with a line of text."""

PRELOAD = ["quantdg.bench.engines.worker", "torch._inductor"]  # the first optimizer imports torch's compiler: 2 s
POLL_SECONDS = 0.5
EARLY_DEATHS = 10


def run_cells(cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher) -> None:
    """Run cells to their records; returns when each has one, by this driver or another.

    KeyboardInterrupt lets the processes save their trainings first; a second one kills them. Raises StorageError.
    """
    if jobs_of(launcher):
        _Pool(CellQueue(cells, lambda key: store.float_path(key).exists()), store, paths, launcher, watch).run()
        return
    use_deterministic(launcher.threads)
    job = Job(store, paths, launcher, lambda steps: watch("steps", steps))
    for record in job.execute(cells, lambda left, holder: watch("waiting", waiting_line(left, str(holder)))):
        watch("record", record)


def waiting_line(count: int, holder: str) -> str:
    """What a driver says when others have all that is left."""
    return f"waiting for {count} cells that others work on ({holder})"


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    group: str | None
    slot: int
    cell: Cell | None = None
    asked: bool = False


class _Pool:
    def __init__(self, board: CellQueue, store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher) -> None:
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.board, self.store, self.paths, self.launcher, self.watch = board, store, paths, launcher, watch
        self.workers: list[_Worker] = []
        self.leases = Leases(store.work, launcher.lease_seconds)
        self.early = 0
        self.next_look = 0.0
        self.abandoned: dict[str, Holder] = {}

    def run(self) -> None:
        jobs = jobs_of(self.launcher)
        try:
            while True:
                while len(self.workers) < jobs and (group := self.board.open_group()) is not None:
                    self._start(group)
                if self.workers:
                    self._listen()
                elif self.board.elsewhere:
                    time.sleep(POLL_SECONDS)
                else:
                    break
                self._look_around()
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
        self.board.workers[group] += 1
        self.workers.append(_Worker(process, ours, group, slot))

    def _listen(self) -> None:
        ready = wait([w.pipe for w in self.workers], timeout=POLL_SECONDS)
        for worker in [w for w in self.workers if w.pipe in ready]:
            try:
                kind, value = worker.pipe.recv()
                self._take(worker, kind, value)
            except (EOFError, OSError):
                self._gone(worker)

    def _take(self, worker: _Worker, kind: str, value: Any) -> None:
        if kind == "next":
            worker.asked = True
            worker.cell = self._next(worker)
            worker.pipe.send((worker.cell, self._abandoned(worker.cell)))
        elif kind == "steps":
            self.watch("steps", value)
        elif kind == "record":
            self._stored(value)
            worker.cell, self.early = None, 0
        elif kind == "busy" and worker.cell is not None:
            self._postpone(worker.cell, *value)
            worker.cell = None
        elif kind == "storage":
            raise StorageError(value)

    def _abandoned(self, cell: Cell | None) -> list[Holder]:
        """What the process need not watch again for so long."""
        names = (cell.key, cell.group.key) if cell else ()
        return [self.abandoned[name] for name in names if name in self.abandoned]

    def _next(self, worker: _Worker) -> Cell | None:
        while worker.group is not None:
            if (cell := self.board.take(worker.group)) is not None:
                return cell
            worker.group = self.board.move(worker.group)
        return None

    def _stored(self, key: str) -> None:
        record = self.store.read(key)
        if record is not None:
            self.watch("record", record)

    def _postpone(self, cell: Cell, lease: str, holder: str) -> None:
        self.board.postpone(cell, whole_group=lease == cell.group.key)
        if not any(self.board.waiting.values()):
            self.watch("waiting", waiting_line(len(self.board.elsewhere), holder))

    def _look_around(self) -> None:
        """What has become of the leases, at most every `POLL_SECONDS`."""
        now = time.monotonic()
        if now < self.next_look:
            return
        if now - self.next_look > self.launcher.lease_seconds / 2:  # stopped by Ctrl-Z, say: nobody was watched
            self.leases = Leases(self.store.work, self.launcher.lease_seconds)
        self.next_look, holders = now + POLL_SECONDS, self.leases.newest()
        self.abandoned = {name: holder for name, holder in holders.items() if self.leases.abandoned(holder)}
        self._look_elsewhere(holders.keys() - self.abandoned.keys())
        self._kill_stuck()

    def _look_elsewhere(self, held: set[str]) -> None:
        """Cells that others had: done by now, or free again because their process died."""
        for key, cell in list(self.board.elsewhere.items()):
            if self.store.cell_path(key).exists():
                del self.board.elsewhere[key]
                self._stored(key)
            elif key not in held and cell.group.key not in held:
                self.board.resume(key)

    def _kill_stuck(self) -> None:
        """A process that stands still is lost like one that died."""
        for worker in self.workers:
            holder = self.abandoned.get(worker.cell.key) if worker.cell else None
            if holder is not None and holder.who is not None and holder.who.pid == worker.process.pid:
                worker.process.kill()

    def _gone(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join(GRACE_SECONDS)
        worker.process.kill()
        worker.process.join()
        self.workers.remove(worker)
        if worker.group is not None:
            self.board.workers[worker.group] -= 1
        code = worker.process.exitcode or 0
        if not worker.asked:
            self._early_death(cause(code))
        cell = worker.cell
        if cell is None:
            return
        if self.store.read(cell.key) is not None:
            self._stored(cell.key)
        elif (deaths := self.board.lose(cell, self.store.progress(cell.key, cell.group.key))) <= self.launcher.max_lost:
            self.board.give_back(cell)
        else:
            self._lost(cell, f"its process died {deaths} times: {cause(code)}")

    def _early_death(self, why: str) -> None:
        self.early += 1
        if self.early >= EARLY_DEATHS:
            raise QuantDGError(
                f"processes must live to train, but {self.early} died before their first cell ({why}); write "
                "launcher.jobs=0 to see why"
            )

    def _lost(self, cell: Cell, reason: str) -> None:
        lease = self.leases.acquire(cell.key)
        if isinstance(lease, Holder):
            self.board.postpone(cell, whole_group=False)
            return
        with lease:
            self.store.write_first(without_result(cell, "failed", reason, self.launcher))
            self.store.snapshot_path(cell.key).unlink(missing_ok=True)
        self._stored(cell.key)

    def _end(self) -> None:
        """No process stays behind: they may save first, unless Ctrl-C comes again."""
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


def cause(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit {code}"
    return f"signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
