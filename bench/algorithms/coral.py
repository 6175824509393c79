r"""CORAL: match mean and covariance of the features between every two source domains.

    L = mean_d R_d + gamma * mean_{i<j} [ mean((mu_i - mu_j)^2) + mean((C_i - C_j)^2) ],  C = centred' centred / (b - 1)

Means are over elements, as in DomainBed, which unlike Deep CORAL also matches means and divides by d^2
instead of 4 d^2.

References: Sun and Saenko, "Deep CORAL", ECCV 2016 workshops; Gulrajani and Lopez-Paz, "In Search of Lost
Domain Generalization", ICLR 2021 (DomainBed, MIT).
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from .alignment import FeatureAlignment


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean (d,) and unbiased covariance (d, d) of features (b, d)."""
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def coral_penalty(features: list[Tensor]) -> Tensor:
    """Compute the mean over domain pairs of the squared differences of means and covariances."""
    stats = [moments(f) for f in features]
    terms = [(m - n).square().mean() + (c - d).square().mean() for (m, c), (n, d) in combinations(stats, 2)]
    return torch.stack(terms).mean()


class CORAL(FeatureAlignment):
    """It is ERM with the correlation-alignment penalty."""

    def distance(self, features: list[Tensor]) -> Tensor:
        """Return `coral_penalty`."""
        return coral_penalty(features)
