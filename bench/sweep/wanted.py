"""The trials that a search asks for: as cells to run, and as what is written beside the records."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..experiment.grid import Cell
from ..experiment.trials import TrialCell
from ..results.trials import SearchedRow, Trial


@dataclass(frozen=True)
class Asked:
    """A row was asked for with these trials, the first of them its trial 0.

    Attributes:
        by: the rows whose results choose; see `SearchedRow`.
        trials: those that can be named now.
    """

    by: tuple[Cell, ...]
    trials: tuple[TrialCell, ...]


@dataclass
class Wanted:
    """These are the trials that can be named now.

    Attributes:
        asked: the trials of each row.
        later: how many further cells there will be, at most: which ones, the results of these decide.
    """

    asked: list[Asked] = field(default_factory=list)
    later: int = 0

    @property
    def cells(self) -> list[Cell]:
        """Return the cells, each once, those with the defaults first."""
        return list({trial.cell.key: trial.cell for trial in self.trials}.values())

    @property
    def trials(self) -> list[TrialCell]:
        """Return the trials, those with the defaults first."""
        return sorted((t for row in self.asked for t in row.trials), key=lambda trial: trial.number > 0)

    @property
    def rows(self) -> list[SearchedRow]:
        """Return what is written beside the records."""
        return [
            SearchedRow(
                row.trials[0].cell.key,
                tuple(cell.key for cell in row.by),
                tuple(Trial(t.number, t.cell.key, dict(t.values)) for t in row.trials),
            )
            for row in self.asked
        ]
