"""The process of the local engine that trains: it asks its driver for cells until there are none.

It has a pipe of its own, so that one killed in the middle of a message harms nobody else's. Its messages are pairs:
``next`` (it wants a cell), ``steps`` with a count, ``record`` with a key, ``busy`` with the names of a lease and its
holder, ``note`` with a line for the user, ``room`` with how many such processes its GPU has room for, or ``storage`` with the
reason why the folder cannot be written.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from ..cells.crew import LOST
from ..cells.job import Job
from ..experiment.grid import Paths
from ..experiment.launcher import Launcher
from ..results.files import StorageError
from ..results.record import Record
from ..results.store import RunStore
from ..training.checkpointer import StoppedError
from ..training.ranks import PeerLostError
from ..training.seeds import use_deterministic
from .capacity import room_on
from .malloc import keep_freed_memory

REPORT_EVERY = 20
GRACE_SECONDS = 20.0
"""For saving a training whose driver is gone."""


class ThrottledReport:
    """Reports steps to the driver in bunches, and sets the stop flag when the driver is gone.

    A driver that is gone is an order to stop, not an error of the training.

    Args:
        pipe: to the driver.
        stop: the flag that ends the training.
    """

    def __init__(self, pipe: Connection, stop: threading.Event) -> None:
        self.pipe, self.stop, self.pending = pipe, stop, 0

    def __call__(self, steps: int) -> None:
        """Add steps; send them once there are enough."""
        self.pending += steps
        if self.pending >= REPORT_EVERY:
            self.flush()

    def flush(self) -> None:
        """Send what has not been sent; set the stop flag where nobody reads it."""
        if self.pending:
            self._send("steps", self.pending)
        self.pending = 0

    def note(self, line: str) -> None:
        """Send a line for the user; set the stop flag where nobody reads it."""
        self._send("note", line)

    def _send(self, kind: str, value: object) -> None:
        try:
            self.pipe.send((kind, value))
        except OSError:
            self.stop.set()


def _die_with(stop: threading.Event) -> None:
    """End this process soon after its driver, however that ended: the training is saved first."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel])
    stop.set()
    threading.Event().wait(GRACE_SECONDS)
    os._exit(1)


def work(pipe: Connection, store: RunStore, paths: Paths, launcher: Launcher) -> None:
    """Run the process: ask for cells until there are none.

    Ctrl-C belongs to the driver, which sends SIGTERM: the training is saved, and the process ends.
    """
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_die_with, args=(stop,), daemon=True).start()
    keep_freed_memory()
    use_deterministic(launcher.threads)
    report = ThrottledReport(pipe, stop)
    job = Job(store, paths, launcher, report, stop=stop.is_set, tell=report.note)
    try:
        _serve(pipe, job, report)
    except (StoppedError, EOFError, BrokenPipeError, ConnectionResetError):
        return
    except StorageError as error:
        with suppress(OSError):  # the driver may be gone for the same reason
            pipe.send(("storage", str(error)))
    except PeerLostError as error:  # the cell is lost, as if this process had been killed
        report.note(str(error))
        raise SystemExit(LOST) from error
    finally:
        job.close()


def _serve(pipe: Connection, job: Job, report: ThrottledReport) -> None:
    measured = False
    while True:
        pipe.send(("next", None))
        cell, abandoned = pipe.recv()
        if cell is None:
            return
        for holder in abandoned:
            job.leases.mark_abandoned(holder)
        found = job.attempt(cell)
        report.flush()
        if isinstance(found, Record):
            if not measured and job.launcher.device != "cpu" and found.status == "done":
                pipe.send(("room", room_on(job.launcher.device)))
                measured = True
            pipe.send(("record", found.key))
        else:
            pipe.send(("busy", (found.name, str(found))))
