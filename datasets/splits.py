"""The hold-out of one environment, by DomainBed's rule."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError

Indices = NDArray[np.int64]


def split(count: int, trial_seed: int, env_index: int, holdout: float = 0.2) -> tuple[Indices, Indices]:
    """Split the images of one environment in two.

    The same indices as ``split_dataset`` of facebookresearch/DomainBed@b93c22a, so that splits agree with
    published runs and depend on nothing but the arguments.

    Args:
        count: images in the environment, >= 1.
        trial_seed: DomainBed's trial seed, 0, 1, 2, ...
        env_index: place of the environment in the data set.
        holdout: fraction that goes out, 0 <= holdout < 1.

    Returns:
        ``(in_indices, out_indices)``, int64, disjoint, together ``range(count)`` in shuffled order.

    Raises:
        ConfigError: ``count`` or ``holdout`` is out of range.
    """
    if count < 1:
        raise ConfigError(f"an environment to split needs at least one image, got {count}; leave the empty domain out")
    if not 0 <= holdout < 1:
        raise ConfigError(f"holdout is a fraction 0 <= holdout < 1, got {holdout}; write 0.2 to hold out a fifth")
    order = np.arange(count, dtype=np.int64)
    # the md5 is of the text of the whole tuple, for example "(0, 1)"
    digest = hashlib.md5(str((int(trial_seed), int(env_index))).encode(), usedforsecurity=False).hexdigest()
    np.random.RandomState(int(digest, 16) % 2**31).shuffle(order)
    held_out = int(count * holdout)
    return order[held_out:], order[:held_out]
