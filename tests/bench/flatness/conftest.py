"""Losses whose flatness is known: a quadratic and a linear softmax classifier."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.flatness.objective import Objective

N, FEATURES, CLASSES = 12, 4, 3


def symmetric(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues, float64."""
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))[0]
    return torch.from_numpy(q @ np.diag(eigenvalues) @ q.T)


def quadratic(matrix, point=None, slope=None, chunk=1):
    """w^T A w / 2 + b^T w + 1, as two terms, at a point (its minimum by default)."""
    n = len(matrix)
    point = torch.zeros(n, dtype=torch.float64) if point is None else point
    slope = torch.zeros(n, dtype=torch.float64) if slope is None else slope
    terms = ((0.25, lambda w: w @ matrix @ w), (0.5, lambda w: 0.5 * (w @ matrix @ w) + 2 * (slope @ w) + 2))
    return Objective(point, terms, chunk)


@pytest.fixture(name="symmetric")
def _symmetric():
    return symmetric


@pytest.fixture(name="quadratic")
def _quadratic():
    return quadratic


@pytest.fixture
def softmax():
    """(network, images, labels, exact Hessian of the mean cross-entropy by weight then bias, float64)."""
    generator = torch.Generator().manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, CLASSES)).double()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(N, 1, 2, 2, generator=generator, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (N,), generator=generator)
    z = torch.cat([x.flatten(1), torch.ones(N, 1, dtype=torch.float64)], dim=1)
    p = F.softmax(network(x), dim=1).detach()
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    # rows (class, feature), the bias as feature FEATURES; the trace and the spectrum do not depend on the order
    hessian = torch.einsum("nab,ni,nj->aibj", curvature, z, z) / N
    return network, x, y, hessian.reshape(CLASSES * (FEATURES + 1), -1)
