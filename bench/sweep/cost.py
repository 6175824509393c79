"""What cells cost, from the cells that have been measured. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from ..results.record import Labels
from ..results.summary import RecordSummary

Level = tuple[str, ...]


def _levels(labels: Labels) -> Iterator[Level]:
    """From the likest cells to merely similar ones."""
    yield labels.dataset, labels.model, labels.algorithm, labels.quantizer, labels.bits
    yield labels.dataset, labels.model, labels.algorithm, labels.quantizer
    yield labels.dataset, labels.model, labels.algorithm
    yield labels.dataset, labels.model


class Costs:
    """These are the seconds a training step takes: of branches with their evaluation, of float phases without.

    Args:
        summaries: of measured cells; others are ignored.
    """

    def __init__(self, summaries: Iterable[RecordSummary]) -> None:
        branch: dict[Level, list[float]] = {}
        plain: dict[Level, list[float]] = {}
        self.measured = 0
        for summary in summaries:
            if summary.labels is None or summary.steps <= 0 or summary.branch_s <= 0:
                continue
            self.measured += 1
            for level in _levels(summary.labels):
                branch.setdefault(level, []).append(summary.branch_s / summary.steps)
                plain.setdefault(level, []).append(summary.step_ms / 1000)
        self._branch = {level: median(values) for level, values in branch.items()}
        self._plain = {level: median(values) for level, values in plain.items()}

    def branch(self, labels: Labels, steps: int) -> float | None:
        """Return seconds for a branch of ``steps`` steps, by the likest measured cells; None where none is similar."""
        return self._find(self._branch, labels, steps)

    def shared(self, labels: Labels, steps: int) -> float | None:
        """Return seconds for a float phase of ``steps`` steps; None where no measured cell is similar."""
        return self._find(self._plain, labels, steps)

    def _find(self, table: dict[Level, float], labels: Labels, steps: int) -> float | None:
        for level in _levels(labels):
            if level in table:
                return table[level] * steps
        return None
