"""The hold-out against DomainBed's own rule and numbers computed outside this package."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from quantdg.core.errors import ConfigError
from quantdg.datasets.splits import split


def domainbed_split(count: int, trial_seed: int, env: int, holdout: float) -> tuple[list[int], list[int]]:
    """Transcription of DomainBed's split_dataset and seed_hash."""

    def seed_hash(*args: int) -> int:
        return int(hashlib.md5(str(args).encode()).hexdigest(), 16) % 2**31

    keys = list(range(count))
    np.random.RandomState(seed_hash(trial_seed, env)).shuffle(keys)
    n = int(count * holdout)
    return keys[n:], keys[:n]


@pytest.mark.parametrize(
    ("count", "seed", "env", "inside", "outside"),
    [
        (10, 0, 0, [8, 1, 4, 5, 0, 9], [2, 3]),
        (10, 0, 1, [3, 7, 8, 6, 1, 2], [5, 0]),
        (2048, 1, 0, [401, 946, 492, 1496, 745, 1654], [1394, 1699, 1095, 19, 1757, 1988]),
        (3929, 2, 3, [3495, 3059, 1562, 2083, 744, 699], [3714, 1165, 1672, 1675, 3541, 527]),
    ],
)
def test_golden(count: int, seed: int, env: int, inside: list[int], outside: list[int]) -> None:
    got_in, got_out = split(count, seed, env)
    assert got_in[:6].tolist() == inside
    assert got_out[:6].tolist() == outside
    assert (len(got_in), len(got_out)) == (count - count // 5, count // 5)


@pytest.mark.parametrize("holdout", [0.0, 0.1, 0.2, 0.4])
@pytest.mark.parametrize(("count", "seed", "env"), [(1, 0, 0), (7, 1, 2), (359, 2, 4)])
def test_equals_domainbed(count: int, seed: int, env: int, holdout: float) -> None:
    inside, outside = split(count, seed, env, holdout)
    assert (inside.tolist(), outside.tolist()) == domainbed_split(count, seed, env, holdout)
    assert inside.dtype == outside.dtype == np.int64
    assert sorted([*inside, *outside]) == list(range(count))


def test_numpy_integers_hash_as_plain_ones() -> None:
    """numpy prints np.int64(1) inside a tuple, which would change the md5."""
    assert np.array_equal(split(50, np.int64(1), np.int64(2))[1], split(50, 1, 2)[1])  # type: ignore[arg-type]


def test_global_generator_is_left_alone() -> None:
    np.random.seed(5)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr, call-overload]
    split(100, 0, 0)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("count", "holdout"), [(0, 0.2), (10, 1.0), (10, -0.1), (10, 20)])
def test_out_of_range(count: int, holdout: float) -> None:
    with pytest.raises(ConfigError, match="got"):
        split(count, 0, 0, holdout)
