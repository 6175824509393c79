"""The local engine: one process for each group of cells, so that a killed one takes only itself along.

Processes are forked from a server that has imported torch already, which costs milliseconds instead of seconds.
A cell whose process dies without a word (out of memory, killed) is recorded as failed and its group goes on
with the other cells.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.queues import Queue
from typing import Any

from quantdg.bench.experiment import Cell, Launcher, Paths
from quantdg.bench.records import Record
from quantdg.bench.run import run_group, without_result
from quantdg.bench.store import RunStore
from quantdg.bench.training import use_deterministic

Event = tuple[str, int, Any]
"""(kind, group number, value): ``steps`` done, ``cell`` stored (its key), ``end`` of the group."""
Watcher = Callable[[str, Any], None]
"""Told ``steps`` with a count and ``record`` with a Record."""

REPORT_EVERY = 20


def jobs_of(launcher: Launcher) -> int:
    """Processes at a time: as asked, else as many as the cores this process may use allow."""
    if launcher.jobs is not None:
        return launcher.jobs
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // launcher.threads)


def run_cells(cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher) -> None:
    """Run cells to their records; returns when each has one. KeyboardInterrupt ends the processes first."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group.key, []).append(cell)
    jobs = min(jobs_of(launcher), len(groups))
    if jobs:
        _Pool(list(groups.values()), store, paths, launcher, watch).run(jobs)
        return
    use_deterministic(launcher.threads)
    for group in groups.values():
        for record in run_group(group, store, paths, launcher, lambda steps: watch("steps", steps)):
            watch("record", record)


def _work(
    number: int, cells: list[Cell], root: RunStore, paths: Paths, launcher: Launcher, events: Queue[Event]
) -> None:
    """In the child: Ctrl-C belongs to the parent, which ends its children itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_deterministic(launcher.threads)
    pending = 0

    def report(steps: int) -> None:
        nonlocal pending
        pending += steps
        if pending >= REPORT_EVERY:
            events.put(("steps", number, pending))
            pending = 0

    for record in run_group(cells, root, paths, launcher, report):
        events.put(("cell", number, record.key))
    events.put(("steps", number, pending))


@dataclass
class _Job:
    process: ForkServerProcess
    cells: list[Cell]


class _Pool:
    def __init__(
        self, groups: list[list[Cell]], store: RunStore, paths: Paths, launcher: Launcher, watch: Watcher
    ) -> None:
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["quantdg.bench.run"])
        self.waiting = deque(enumerate(groups))
        self.running: dict[int, _Job] = {}
        self.store, self.paths, self.launcher, self.watch = store, paths, launcher, watch
        self.events: Queue[Event] = self.context.Queue()

    def run(self, jobs: int) -> None:
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < jobs:
                    self._start(*self.waiting.popleft())
                self._listen()
                self._reap()
        finally:
            for job in self.running.values():
                job.process.terminate()
            for job in self.running.values():
                job.process.join()

    def _start(self, number: int, cells: list[Cell]) -> None:
        arguments = (number, cells, self.store, self.paths, self.launcher, self.events)
        process = self.context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        self.running[number] = _Job(process, cells)

    def _listen(self, timeout: float = 0.2) -> None:
        try:
            kind, number, value = self.events.get(timeout=timeout)
        except queue.Empty:
            return
        if kind == "steps":
            self.watch("steps", value)
        elif number in self.running:
            self._finished(self.running[number], value)

    def _finished(self, job: _Job, key: str) -> None:
        job.cells = [c for c in job.cells if c.key != key]
        record = self.store.read(key)
        if record is not None:
            self.watch("record", record)

    def _reap(self) -> None:
        for number, job in list(self.running.items()):
            if job.process.is_alive():
                continue
            while not self.events.empty():
                self._listen(0)
            del self.running[number]
            for cell in list(job.cells):
                if (record := self.store.read(cell.key)) is not None and record.status != "failed":
                    self._finished(job, cell.key)
            if job.cells:
                self._lost(number, job)

    def _lost(self, number: int, job: _Job) -> None:
        """The first unfinished cell was running when the process died: record it, run the others."""
        cell, *others = job.cells
        code = job.process.exitcode or 0
        cause = (
            f"signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "") if code < 0 else f"exit {code}"
        )
        record: Record = without_result(cell, "failed", f"its process died: {cause}", self.launcher)
        self.store.write(record)
        self.watch("record", record)
        if others:
            self.waiting.appendleft((number, others))
