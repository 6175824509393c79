"""Slurm through submitit: an array of portions that outlives this process and is requeued by Slurm.

submitit writes its jobs as pickles of its own below RUNS/slurm and reads them back in the jobs; nothing of the
results goes that way.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from ...core.errors import ConfigError, MissingPackageError, RecordError
from ...core.text import say
from ..cells.job import Job
from ..experiment.engine_options import SlurmOptions
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.codec import WRONG
from ..results.files import write_atomic
from ..results.folder import listed, read_text
from ..results.store import RunStore
from .cluster import Portion, absolute, follow, missing, portions, run_portion

FOLDER = "slurm"


@dataclass
class SlurmTask:
    """A job of the array runs this; submitit calls `checkpoint` when the time limit or a preemption is near."""

    store: RunStore
    paths: Paths
    launcher: Launcher
    _job: Job | None = field(default=None, repr=False)

    def __call__(self, cells: Portion) -> int:
        """Run the cells; returns how many failed."""
        self._job = Job(self.store, self.paths, self.launcher, tell=say)
        return run_portion(cells, self.store, self.paths, self.launcher, job=self._job)

    def checkpoint(self, cells: Portion) -> Any:
        """Go on with what is missing; leases are left to the next attempt, which knows that this one is over."""
        submitit = _submitit()
        return submitit.helpers.DelayedSubmission(SlurmTask(self.store, self.paths, self.launcher), cells)


def _submitit() -> Any:
    try:
        return import_module("submitit")
    except ImportError as error:
        raise MissingPackageError("launcher=slurm needs submitit; pip install 'quantdg[slurm]'") from error


def _executor(folder: Path, launcher: Launcher, options: SlurmOptions) -> Any:
    executor = _submitit().SlurmExecutor(folder=folder, max_num_timeout=options.timeouts)
    extra = {"partition": options.partition, "gpus_per_node": options.gpus}
    executor.update_parameters(
        job_name="quantdg",
        time=options.minutes,
        mem=f"{round(launcher.memory_gb * 1024)}M",
        cpus_per_task=launcher.threads,
        array_parallelism=options.parallel,
        signal_delay_s=options.signal_seconds,
        additional_parameters={"requeue": True, **options.parameters},
        **{name: value for name, value in extra.items() if value is not None},
    )
    return executor


def queued() -> set[str] | None:
    """Return the jobs of this user that Slurm still has, array tasks as ``123_4``; None where it does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(done.stdout.split())


class Submitted:
    """This keeps in the folder which cells are in which job, a file for each array, for other drivers to read."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._read: dict[Path, dict[str, list[str]]] = {}

    def add(self, jobs: dict[str, list[str]]) -> None:
        """Note an array: job number -> keys of its cells."""
        write_atomic(self.store.path(f"{FOLDER}/array-{_array(min(jobs))}.json"), json.dumps(jobs))

    def at_work(self, keys: set[str]) -> set[str] | None:
        """Return those of ``keys`` whose jobs Slurm still has; None where it does not answer."""
        there = queued()
        if there is None:
            return None
        for path in set(listed(self.store.root, FOLDER, ".json")) - self._read.keys():
            with suppress(FileNotFoundError, RecordError, *WRONG):
                self._read[path] = msgspec.json.decode(read_text(path), type=dict[str, list[str]])
        jobs = (item for array in self._read.values() for item in array.items())
        return {key for job, cells in jobs if job in there for key in cells if key in keys}


def _array(job: str) -> str:
    return job.partition("_")[0]


def run_on_slurm(
    cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, say: Callable[[str], None]
) -> bool:
    """Submit what no job has yet; follow to the end, or return False at once with ``wait=false``."""
    options = SlurmOptions(**launcher.options)
    paths = absolute(paths)
    store = RunStore(paths.out)
    executor, submitted = _executor(store.path(f"{FOLDER}/-").parent, launcher, options), Submitted(store)
    task = SlurmTask(store, paths, launcher)

    def submit(some: list[Cell]) -> None:
        parts = portions(some, options.cells_per_job)
        jobs = executor.map_array(task, parts)
        submitted.add({job.job_id: [c.key for c in part] for job, part in zip(jobs, parts, strict=True)})
        say(f"{len(parts)} jobs submitted as {_array(jobs[0].job_id)}")

    keys = {cell.key for cell in cells}
    there = submitted.at_work(keys)
    if there is None:
        raise ConfigError("launcher=slurm needs a Slurm that answers squeue; set SLURM_CONF or use launcher=local")
    new = [cell for cell in missing(cells, store) if cell.key not in there]
    if new:
        submit(new)
    if not options.wait:
        say("submitted; quantdg status tells how far it is, and the same command follows it")
        return False

    def at_work() -> bool | None:
        left = submitted.at_work({cell.key for cell in missing(cells, store)})
        return None if left is None else bool(left)

    follow(cells, store, launcher, submit, at_work=at_work, say=say, poll_seconds=options.poll_seconds)
    return True
