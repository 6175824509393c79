r"""MMD: match the distributions of the features between every two source domains in a Gaussian kernel space.

    L = mean_d R_d + gamma * mean_{i<j} [ mean K(x_i, x_i) + mean K(x_j, x_j) - 2 mean K(x_i, x_j) ]
    K(a, b) = sum_{g in 1e-3, 1e-2, ..., 1e3} exp(-g |a - b|^2)

The biased V-statistic, as in DomainBed.

References: Li et al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018; Gulrajani and Lopez-Paz,
"In Search of Lost Domain Generalization", ICLR 2021 (DomainBed, MIT).
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from .alignment import FeatureAlignment

BANDWIDTHS = tuple(10.0**k for k in range(-3, 4))


def kernel_mean(a: Tensor, b: Tensor) -> Tensor:
    """Compute the mean of K over all rows of a (n, d) and b (m, d)."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    squares = squares.clamp_min(0)  # rounding may leave a distance of 0 slightly below it
    return torch.stack([torch.exp(-g * squares).mean() for g in BANDWIDTHS]).sum()


def mmd_penalty(features: list[Tensor]) -> Tensor:
    """Compute the mean over domain pairs of the squared maximum mean discrepancy."""
    own = [kernel_mean(f, f) for f in features]
    terms = [own[i] + own[j] - 2 * kernel_mean(features[i], features[j]) for i, j in combinations(range(len(own)), 2)]
    return torch.stack(terms).mean()


class MMD(FeatureAlignment):
    """It is ERM with the maximum-mean-discrepancy penalty."""

    def distance(self, features: list[Tensor]) -> Tensor:
        """Return `mmd_penalty`."""
        return mmd_penalty(features)
