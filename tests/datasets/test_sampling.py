"""The order of the data is a function of (seed, environment, step) and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from quantdg.core.errors import ConfigError, DataError
from quantdg.datasets.sampling import batch_indices

POOL = np.arange(100, dtype=np.int64)


def test_golden() -> None:
    """A change here changes every stored result's data order."""
    assert batch_indices(POOL, 0, 0, 0, 8).tolist() == [1, 24, 11, 56, 50, 27, 94, 98]
    assert batch_indices(POOL, 3, 2, 7, 8).tolist() == [37, 43, 17, 6, 87, 74, 77, 29]


def test_steps_may_be_asked_in_any_order() -> None:
    forward = [batch_indices(POOL, 1, 0, step, 32) for step in range(5)]
    np.random.seed(0)
    backward = [batch_indices(POOL, 1, 0, step, 32) for step in reversed(range(5))][::-1]
    assert np.array_equal(forward, backward)


@pytest.mark.parametrize("change", [{"seed": 8}, {"env_index": 4}, {"step": 6}])
def test_every_argument_matters(change: dict[str, int]) -> None:
    base = {"seed": 7, "env_index": 3, "step": 5}
    first = batch_indices(POOL, batch=64, **base)
    assert not np.array_equal(first, batch_indices(POOL, batch=64, **(base | change)))


def test_consecutive_steps_do_not_overlap() -> None:
    """Counter blocks of two steps must not be shifted copies of one another."""
    pool = np.arange(2**40, 2**40 + 10**6, dtype=np.int64)
    joined = np.concatenate([batch_indices(pool, 0, 0, step, 500) for step in range(20)])
    assert len(np.unique(joined)) > 9900


def test_draws_are_uniform_members_of_the_pool() -> None:
    pool = np.array([3, 14, 15, 92], dtype=np.int64)
    drawn = np.concatenate([batch_indices(pool, 0, 1, step, 64) for step in range(200)])
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == pool.tolist()
    expected = len(drawn) / 4
    assert ((counts - expected) ** 2 / expected).sum() < 16.27  # chi-square, 3 degrees of freedom, p = 0.001


def test_domain_smaller_than_the_batch() -> None:
    drawn = batch_indices(np.array([5, 6], dtype=np.int64), 0, 0, 0, 32)
    assert drawn.shape == (32,)
    assert drawn.dtype == np.int64
    assert set(drawn.tolist()) == {5, 6}


def test_bad_arguments() -> None:
    with pytest.raises(DataError, match="no training images"):
        batch_indices(POOL[:0], 0, 0, 0, 4)
    with pytest.raises(ConfigError, match="got 0"):
        batch_indices(POOL, 0, 0, 0, 0)
    with pytest.raises(ConfigError, match=r"seed.*got -1"):
        batch_indices(POOL, -1, 0, 0, 4)
