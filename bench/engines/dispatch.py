"""Engines beyond this machine: looked up by name among what is installed, imported when used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..experiment.offers import find_offer
from ..results.store import RunStore

Say = Callable[[str], None]
Submit = Callable[[list[Cell], RunStore, Paths, Launcher, Say], bool]
"""What an engine is: it runs cells elsewhere and returns whether it followed them to their end."""


def submit_cells(cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, say: Say) -> bool:
    """Run cells on the launcher's engine; returns whether they were followed to their end.

    Raises MissingPackageError where the engine's package is not installed.
    """
    module, _, name = find_offer("launcher", launcher.engine).target.rpartition(".")
    submit: Submit = getattr(import_module(module), name)
    return submit(cells, store, paths, launcher, say)
