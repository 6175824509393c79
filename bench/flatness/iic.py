r"""The interpolating information criterion and its sharpness term, the log-determinant of the tangent kernel.

    K = J J^T,  J = d logits / d w at w on N / classes images, N rows;   log det K / N = (1 / N) sum_i log(lambda_i(K) + e)
    IIC = log R + (log det K) / N - log N,   R = |w - w_0|^2 / 2

with e = 1e-6 of the mean eigenvalue, since K is singular to float32 precision on larger sets; the rank above e is reported
beside. K is summed over blocks of parameters, so that J is never held as a whole. This is the criterion of the isotropic
regulariser R, whose Hessian is the identity; in general it is log(R(w) - R(w_0)) + (log det K_H + log det H - log det
H_0) / N - log N. For a linear model IIC + 1 + log(4 pi) is 2 / N times the negative log evidence with the scale of the
prior at its best value.

Our reading: w_0 are the weights that training began from, so pretrained ones where there are any; w are the dequantized
weights, in R as in J; the constraints are the logits, since probabilities have a null direction for each image. A classifier
never interpolates at finite logits: the criterion holds near interpolation, at stationary points, for test data from the
training distribution. On a shifted domain it describes, it bounds nothing.

Reference: Hodgkinson et al., "The Interpolating Information Criterion for Overparameterized Models", arXiv 2307.07785;
"A PAC-Bayesian Perspective on the Interpolating Information Criterion", arXiv 2311.07013 (of which only the abstract could
be read; the formula is that of the package interpolating-iic).
"""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class Criterion:
    """The criterion ``value`` is the sum of three terms: ``log_distance``, ``log_det`` and ``log_rows``.

    Attributes:
        log_distance: log R; minus infinity where the weights have not moved.
        log_det: mean log eigenvalue of K, as in `LogDet`.
        log_rows: -log N.
        rank: eigenvalues of K above the floor; below ``rows`` the determinant is the floor's as much as the network's.
        rows: N.
    """

    log_distance: float
    log_det: float
    log_rows: float
    rank: int
    rows: int

    @property
    def value(self) -> float:
        """The sum of the terms."""
        return self.log_distance + self.log_det + self.log_rows


def criterion(found: LogDet, distance: float) -> Criterion:
    """Put the criterion together from the kernel's `log_det` and ``distance``, R = |w - w_0|^2 / 2, at least 0."""
    log_distance = math.log(distance) if distance > 0 else -math.inf
    return Criterion(log_distance, found.value, -math.log(found.rows), rank=found.rank, rows=found.rows)


def half_squared_distance(now: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> float:
    """Compute R in float64, over the parameters in ``now``."""
    parts = [(p.detach().double() - start[n].to(p.device).double()).square().sum() for n, p in now.items()]
    return float(torch.stack(parts).sum()) / 2
