"""Random vectors of the measures: from generators of their own, the same whatever the chunk and the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def sphere(like: Tensor, count: int, chunk: int, seed: int) -> Iterator[Tensor]:
    """Yield ``count`` unit vectors, uniform on the sphere, as (up to ``chunk``, n) parts, of the dtype of ``like``."""
    generator = np.random.default_rng([seed, 0])
    for part in _parts(count, chunk):
        gaussian = generator.standard_normal((part, like.numel()), dtype=np.float32)
        u = torch.from_numpy(gaussian).to(like)
        yield u / u.double().norm(dim=1, keepdim=True).to(u.dtype)


def signs(like: Tensor, count: int, chunk: int, seed: int) -> Iterator[Tensor]:
    """Yield ``count`` vectors of independent, equally likely +1 and -1, in parts as `sphere`."""
    generator = np.random.default_rng([seed, 1])
    for part in _parts(count, chunk):
        uniform = generator.random((part, like.numel()), dtype=np.float32)
        yield torch.from_numpy(np.where(uniform < 0.5, np.float32(-1), np.float32(1))).to(like)


def _parts(count: int, chunk: int) -> Iterator[int]:
    return (min(chunk, count - done) for done in range(0, count, chunk))
