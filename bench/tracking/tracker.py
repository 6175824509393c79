"""What a tracking tool must offer, and what it is told. Importing this imports no tool and no torch."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..experiment.offers import find_offer

Setting = str | int | float | bool | None


@dataclass(frozen=True)
class TrackedCell:
    """This is a finished cell as a tool of any kind can show it.

    Attributes:
        key: of the cell, 16 hexadecimal digits.
        name: its path, such as ``digits/thick/0/erm/lsq/W7``.
        version: tells this record of the cell from one before it was trained again, 8 hexadecimal digits.
        labels: data set, target, seed, algorithm, quantizer, bits, model, protocol.
        settings: the identity of the cell, by dotted name.
        curves: by name, such as ``source_validation/accuracy``, pairs of (optimizer step, value).
        final: numbers of the finished cell by name, such as ``iid/target_in``; accuracies from 0 to 1.
        ended: when the record was stored, seconds since 1970.
    """

    key: str
    name: str
    version: str
    labels: Mapping[str, str | int]
    settings: Mapping[str, Setting]
    curves: Mapping[str, list[tuple[int, float]]]
    final: Mapping[str, float]
    ended: float

    @property
    def group(self) -> str:
        """What cells that are compared with each other share: data set, target and seed."""
        return "/".join(str(self.labels[part]) for part in ("dataset", "target", "seed"))

    def by_step(self) -> dict[int, dict[str, float]]:
        """Return the curves for a tool that takes all numbers of a step at once, the first step first."""
        steps: dict[int, dict[str, float]] = {}
        for name, points in self.curves.items():
            for step, value in points:
                steps.setdefault(step, {})[name] = value
        return dict(sorted(steps.items()))


class Tracker(ABC):
    """A tracker hands cells and the report of one run folder to one tool.

    All three methods are called by one thread of the tracker's own, which is not that of the training; other trackers have theirs.

    Args:
        folder: where the tool keeps what it writes on this machine.
        project: the name under which the tool groups the runs of the folder.

    Raises:
        MissingPackageError: the tool is not installed.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self.folder, self.project = folder, project

    @abstractmethod
    def cell(self, cell: TrackedCell) -> None:
        """Take a finished cell: a run of the tool, with settings, curves and final numbers."""

    @abstractmethod
    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Take the self-contained HTML page, and CSV files of the tables by name; once more after every report."""

    @abstractmethod
    def close(self) -> None:
        """Write what is still held back."""


def read_table(path: Path) -> list[list[str]]:
    """Return the rows of a table's CSV file, its heading first."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def open_tracker(name: str, folder: Path, project: str) -> Tracker:
    """Return an installed tracker; UnknownNameError, MissingPackageError where there is none."""
    module, _, kind = find_offer("tracker", name).target.rpartition(".")
    made: type[Tracker] = getattr(import_module(module), kind)
    return made(folder, project)
