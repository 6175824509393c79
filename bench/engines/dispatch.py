"""Engines beyond this machine: looked up by name, imported when used."""

from __future__ import annotations

from collections.abc import Callable

from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.store import RunStore

Say = Callable[[str], None]


def submit_cells(cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, say: Say) -> bool:
    """Run cells on a cluster; returns whether they were followed to their end.

    Raises MissingPackageError where the engine's package is not installed.
    """
    if launcher.engine == "slurm":
        from .slurm import run_on_slurm  # noqa: PLC0415 - needs an optional package

        return run_on_slurm(cells, store, paths, launcher, say)
    from .ray_ import run_on_ray  # noqa: PLC0415 - needs an optional package

    return run_on_ray(cells, store, paths, launcher, say)
