"""Which images form the batch of a step, as a pure function: nothing to store, nothing to resume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, DataError

_LIMIT = 2**63


def raw_words(count: int, key: int, stream: int, position: int = 0) -> NDArray[np.uint64]:
    """Return ``count`` random 64-bit words of a Philox stream.

    Raw words, because numpy fixes the bit stream of Philox for good while it may change how ``Generator``
    turns bits into integers.
    """
    for name, value in (("seed", key), ("environment index", stream), ("step", position)):
        if not 0 <= value < _LIMIT:
            raise ConfigError(f"a {name} lies in 0..2**63-1, got {value}; count from 0")
    # the position is the counter's highest word, so two positions never overlap
    counter = np.array([0, 0, 0, position], dtype=np.uint64)
    bits = np.random.Philox(key=np.array([key, stream], dtype=np.uint64), counter=counter)
    return bits.random_raw(count)


def batch_indices(pool: NDArray[np.int64], seed: int, env_index: int, step: int, batch: int) -> NDArray[np.int64]:
    """Draw the members of ``pool`` that form one environment's batch at one step, with replacement.

    Args:
        pool: indices to draw from, shape (n,), n >= 1; may be smaller than the batch.
        seed: of the data order, shared by all methods of a pair.
        env_index: place of the environment in the data set.
        step: training step from 0.
        batch: images to draw, >= 1.

    Returns:
        int64, shape (batch,).

    Raises:
        DataError: the pool is empty.
        ConfigError: ``batch`` < 1 or a negative seed, index or step.
    """
    if len(pool) == 0:
        raise DataError(f"environment {env_index} has no training images; lower the holdout or leave the domain out")
    if batch < 1:
        raise ConfigError(f"a batch holds at least one image per domain, got {batch}; write 1 or more")
    words = raw_words(batch, seed, env_index, step)
    unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    picks: NDArray[np.int64] = pool[(unit * len(pool)).astype(np.int64)]
    return picks
