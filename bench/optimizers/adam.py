"""Adam, DomainBed's optimizer.

Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. The implementation is torch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn


def adam(
    parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, betas: Sequence[float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Build Adam over all parameters, in one fused kernel.

    Args:
        parameters: to be trained.
        lr: learning rate, above 0.
        weight_decay: added to the gradient, at least 0.
        betas: decay of the two moments, each from 0 to below 1.
    """
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, betas=(betas[0], betas[1]), fused=True)
