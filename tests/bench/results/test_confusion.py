"""Counts of true by predicted classes, by hand, and what a record keeps of many classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantdg.bench.results.confusion import MOST_CLASSES, Confusion
from quantdg.core.errors import RecordError

LABELS, PREDICTED = np.array([0, 0, 0, 2, 2]), np.array([0, 1, 1, 2, 0])


def test_rows_are_true_classes_and_columns_predicted_ones() -> None:
    found = Confusion.of(["a", "b", "c"], LABELS, PREDICTED)
    assert found.counts == ["1 2 0", "0 0 0", "1 0 1"]
    matrix = found.matrix()
    assert matrix is not None
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 1]]
    assert found.right().tolist() == [[1, 3], [0, 0], [1, 2]]


def test_many_classes_keep_how_many_were_right() -> None:
    classes = [f"class {i}" for i in range(MOST_CLASSES + 1)]
    found = Confusion.of(classes, LABELS, PREDICTED)
    assert found.counts[:3] == ["1 3", "0 0", "1 2"]
    assert found.matrix() is None
    assert found.right()[:3].tolist() == [[1, 3], [0, 0], [1, 2]]


@pytest.mark.parametrize("counts", [["1 2 0", "0 0 0"], ["1 2", "0 0", "1 0"]])
def test_counts_of_another_shape_are_refused(counts: list[str]) -> None:
    found = replace(Confusion.of(["a", "b", "c"], LABELS, PREDICTED), counts=counts)
    with pytest.raises(RecordError, match="must have 3 rows of 3 counts"):
        found.right()
