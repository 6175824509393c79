"""Every random number is a pure function of (data set, target domain, seed, purpose, step).

Nothing depends on the method under test or on what ran before in the process: two quantizers see the same
initialisation, batches, augmentation and dropout, and a resumed or branched run needs no generator state.
"""

from __future__ import annotations

import hashlib
import os
import random

import numpy as np
import torch

from .precision import forbid_tf32


def derive(*parts: str | int) -> int:
    """Derive a 63-bit seed from the parts: the first 8 bytes of their sha256, without the sign bit."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Reset the global generators of torch (CPU and, where in use, CUDA), Python and numpy."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed queues a call for CUDA each time it is not in use
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


class SeedSource:
    """These are the seeds of one (data set, target domain, seed)."""

    def __init__(self, dataset: str, target: str, seed: int) -> None:
        self.base = derive(dataset, target, seed)

    def of(self, purpose: str, step: int = 0) -> int:
        """Return a seed for one purpose at one step."""
        return derive(self.base, purpose, step)


def use_deterministic(threads: int) -> None:
    """Fix thread count and kernels, so that equal settings give equal bits on one machine.

    Attention is computed by the same operators in training and evaluation: torch's fused path, for evaluation only,
    would skip input quantizers. Fresh memory is not filled first: that makes a read of it reproducible, which nothing
    here does, and took a fifth of a training step of MobileNetV1.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.mha.set_fastpath_enabled(False)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a GPU is first used
    forbid_tf32()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
