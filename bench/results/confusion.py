"""Which class is taken for which on the target domain. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RecordError

MOST_CLASSES = 65
"""OfficeHome's: its matrix takes 9 kB of a record. DomainNet's 345 classes would take 240 kB, more than all else in it."""


@dataclass(frozen=True)
class Confusion:
    """A confusion is the counts of a record's headline selection on the images of the target that tables report.

    Attributes:
        classes: their names, in the order of the data set.
        counts: one text for each true class: how many of its images were taken for each class, separated by blanks; with
            more than `MOST_CLASSES` classes two numbers only, how many were right and how many there are.
    """

    classes: list[str]
    counts: list[str]

    @classmethod
    def of(cls, classes: Sequence[str], labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> Confusion:
        """Count examples, given the true and the predicted class of each."""
        number = len(classes)
        matrix = np.bincount(labels * number + predicted, minlength=number * number).reshape(number, number)
        if number > MOST_CLASSES:
            matrix = np.stack([matrix.diagonal(), matrix.sum(1)], axis=1)
        return cls(list(classes), [" ".join(map(str, row)) for row in matrix.tolist()])

    def matrix(self) -> NDArray[np.int64] | None:
        """Return the counts, (true class, predicted class); None where only `right` is known."""
        whole = self._rows()
        return whole if len(self.classes) <= MOST_CLASSES else None

    def right(self) -> NDArray[np.int64]:
        """Return for each class how many of its images were right and how many there are, (classes, 2)."""
        matrix = self.matrix()
        return self._rows() if matrix is None else np.stack([matrix.diagonal(), matrix.sum(1)], axis=1)

    def _rows(self) -> NDArray[np.int64]:
        number = len(self.classes)
        rows = [[int(count) for count in row.split()] for row in self.counts]
        width = number if number <= MOST_CLASSES else 2
        if len(rows) != number or any(len(row) != width for row in rows):
            raise RecordError(
                f"a confusion of {number} classes must have {number} rows of {width} counts; run the cell again"
            )
        return np.array(rows, dtype=np.int64).reshape(number, width)
