r"""The log-determinant of the empirical neural tangent kernel.

It is the sharpness term of the interpolating information criterion:

    K = J J^T,  J = d logits / d w on N images, rows = N * classes;   (1 / rows) * sum_i log(lambda_i(K) + e)

with e = 1e-6 of the mean eigenvalue, since K is singular to float32 precision on larger sets. K is summed over blocks
of parameters, so that J is never held as a whole. The criterion is derived for interpolating models and test data from
the training distribution: on a shifted domain it describes, it bounds nothing.

Reference: Hodgkinson et al., "The Interpolating Information Criterion for Overparameterized Models", arXiv 2307.07785;
"A PAC-Bayesian Perspective on the Interpolating Information Criterion", arXiv 2311.07013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev, vmap

Logits = Callable[[dict[str, Tensor], Tensor], Tensor]
"""Parameters by name and one image (C, H, W) to its logits (classes,)."""

FLOOR = 1e-6


@dataclass(frozen=True)
class LogDet:
    """Here ``value`` is the mean log eigenvalue, and ``rank`` counts eigenvalues above the floor, of ``rows``."""

    value: float
    rank: int
    rows: int


def tangent_kernel(
    logits: Logits, params: Mapping[str, Tensor], x: Tensor, chunk: int = 8, block_bytes: int = 2**28
) -> Tensor:
    """Compute K of images ``x`` (N, C, H, W): float64, shape (rows, rows), row i * classes + c.

    Args:
        logits: the network; one image does not influence another's logits (BatchNorm in eval mode).
        params: what is differentiated; all of it.
        x: images.
        chunk: images at a time.
        block_bytes: largest Jacobian of one block of parameters; a single tensor may exceed it.
    """
    rows = len(x) * logits(dict(params), x[0]).numel()
    kernel = torch.zeros(rows, rows, dtype=torch.float64, device=x.device)
    for names in _blocks(params, block_bytes // (rows * 4)):
        rest = {n: p for n, p in params.items() if n not in names}

        def of_block(block: dict[str, Tensor], image: Tensor, rest: dict[str, Tensor] = rest) -> Tensor:
            return logits({**rest, **block}, image)

        block = {n: params[n] for n in names}
        jacobian = vmap(jacrev(of_block), in_dims=(None, 0), chunk_size=chunk)(block, x)
        for part in jacobian.values():
            flat = part.reshape(rows, -1).double()
            kernel += flat @ flat.T
    return kernel


def _blocks(params: Mapping[str, Tensor], most: int) -> Iterator[set[str]]:
    names: set[str] = set()
    size = 0
    for name, p in params.items():
        if names and size + p.numel() > most:
            yield names
            names, size = set(), 0
        names.add(name)
        size += p.numel()
    if names:
        yield names


def log_det(kernel: Tensor) -> LogDet:
    """Compute the log-determinant of a symmetric positive semi-definite matrix that is not all 0."""
    values = torch.linalg.eigvalsh(kernel.double()).clamp_min(0)
    floor = FLOOR * float(values.mean())
    return LogDet(float((values + floor).log().mean()), int((values > floor).sum()), len(values))
