"""What the cluster engines share: cells in portions, the function that runs a portion, and following to the end.

The truth is the run folder. A scheduler is only asked which of its jobs are still there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ...core.text import say
from ..cells.cleanup import remove_leftovers
from ..cells.execute import without_result
from ..cells.job import Job
from ..cells.lease import Leases
from ..cells.lease_file import Holder
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.store import RunStore
from ..training.seeds import use_deterministic
from .malloc import keep_freed_memory
from .queue import DeathCounter

Portion = list[Cell]


def portions(cells: Iterable[Cell], size: int | None) -> list[Portion]:
    """Part cells into portions of one group each, with at most ``size`` cells (None: the whole group)."""
    groups: dict[str, Portion] = {}
    for cell in cells:
        groups.setdefault(cell.group.key, []).append(cell)
    return [g[i : i + (size or len(g))] for g in groups.values() for i in range(0, len(g), size or len(g))]


def run_portion(cells: Portion, store: RunStore, paths: Paths, launcher: Launcher, job: Job | None = None) -> int:
    """Run a portion in this process, on the cluster; returns how many cells have no result."""
    keep_freed_memory()
    use_deterministic(launcher.threads)
    job = job or Job(store, paths, launcher, tell=say)
    return sum(record.status == "failed" for record in job.execute(cells, lambda *_: None))


def absolute(paths: Paths) -> Paths:
    """Return the paths in a form that another process on another machine understands."""
    return Paths(
        paths.out.resolve(),
        paths.data_root and paths.data_root.resolve(),
        paths.cache.resolve(),
        roots={name: path.resolve() for name, path in paths.roots.items()},
        caches={name: path.resolve() for name, path in paths.caches.items()},
    )


def missing(cells: Iterable[Cell], store: RunStore) -> list[Cell]:
    """Return the cells that have no record yet."""
    return [cell for cell in cells if not store.cell_path(cell.key).exists()]


def follow(
    cells: Sequence[Cell],
    store: RunStore,
    launcher: Launcher,
    submit: Callable[[list[Cell]], None],
    at_work: Callable[[], bool | None],
    *,
    say: Callable[[str], None],
    poll_seconds: float,
) -> None:
    """Wait for the records; cells whose jobs are gone without one are submitted again, within the limit.

    Args:
        cells: to wait for.
        store: the run folder.
        launcher: how often a cell may be lost, and how long a lease stands still.
        submit: starts jobs for cells.
        at_work: whether any job of this run is left; None where the scheduler does not answer, which proves nothing.
        say: told the progress.
        poll_seconds: between two looks at the run folder.
    """
    counter, leases = DeathCounter(), Leases(store.work, launcher.lease_seconds)
    given_up: dict[str, tuple[Cell, int]] = {}
    told = -1
    while left := missing(cells, store):
        if len(left) != told:
            say(f"{len(cells) - len(left)} of {len(cells)} cells are stored")
            told = len(left)
        if at_work() is False and (gone := [c for c in missing(left, store) if c.key not in given_up]):
            for cell in _cells_of_dead_jobs(gone, leases):
                deaths = counter.add(cell.key, store.progress(cell.key, cell.group.key))
                if deaths > launcher.max_lost:
                    given_up[cell.key] = cell, deaths
            if again := [cell for cell in gone if cell.key not in given_up]:
                say(f"{len(again)} cells were lost with their jobs and are submitted again")
                submit(again)
        for cell, deaths in given_up.values():
            give_up(cell, store, leases, launcher, deaths=deaths)
        time.sleep(poll_seconds)
    remove_leftovers(store)


def _cells_of_dead_jobs(lost: list[Cell], leases: Leases) -> list[Cell]:
    """The cells whose leases dead jobs have left; all of them where no job got as far as a cell."""
    left = leases.newest()
    return [cell for cell in lost if cell.key in left] or lost


def give_up(cell: Cell, store: RunStore, leases: Leases, launcher: Launcher, deaths: int) -> None:
    """Record a cell that was lost too often as failed, unless ``leases`` has seen somebody work on it lately."""
    lease = leases.acquire(cell.key)
    if not isinstance(lease, Holder):
        with lease:
            store.write_first(without_result(cell, "failed", f"its job ended {deaths} times without a word", launcher))
