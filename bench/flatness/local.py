r"""Local flatness: the expected rise of the loss at a distance from the weights.

    F(gamma) = E_u[L(w + gamma u)] - L(w),   u uniform on the unit sphere in R^n

over all n parameters, without filter normalisation and with BatchNorm statistics left as they are. A small F is a
flat neighbourhood. For a quadratic L with Hessian H around its minimum, F(gamma) = gamma^2 tr(H) / (2 n).

Reference: Cha et al., "SWAD: Domain Generalization by Seeking Flat Minima", NeurIPS 2021, local
flatness analysis, and its released script local_flatness_test.py (100 directions, gamma = 5, 10, ... 60 on ResNet-50).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from .draws import sphere
from .objective import Objective


@dataclass(frozen=True)
class Rise:
    """This is one objective's local flatness.

    Attributes:
        loss: L(w).
        mean: F(gamma) of each radius.
        se: its standard error over directions, ddof 1; NaN with one direction.
    """

    loss: float
    mean: tuple[float, ...]
    se: tuple[float, ...]


def local_flatness(
    objectives: Mapping[str, Objective], gammas: Sequence[float], directions: int, seed: int
) -> dict[str, Rise]:
    """Measure F(gamma) of several objectives at one point, all along the same directions.

    Args:
        objectives: by name; they share ``point`` and ``chunk``.
        gammas: radii, Euclidean length in parameter space, > 0.
        directions: number of random directions, >= 1.
        seed: of the directions, >= 0; the same seed gives the same ones whatever the chunk.
    """
    first = next(iter(objectives.values()))
    losses = {name: o.value() for name, o in objectives.items()}
    rises: dict[str, list[torch.Tensor]] = {name: [] for name in objectives}
    for u in sphere(first.point, directions, first.chunk, seed):
        moved = [first.point + gamma * u for gamma in gammas]
        for name, objective in objectives.items():
            rises[name].append(torch.stack([objective.values(points) - losses[name] for points in moved]))
    return {name: _summary(losses[name], torch.cat(parts, dim=1)) for name, parts in rises.items()}


def _summary(loss: float, rises: torch.Tensor) -> Rise:
    """From rises of shape (radii, directions)."""
    count = rises.shape[1]
    se = rises.std(dim=1) / count**0.5 if count > 1 else torch.full((len(rises),), float("nan"))
    return Rise(loss, tuple(rises.mean(dim=1).tolist()), tuple(se.tolist()))
