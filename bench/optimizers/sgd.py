"""Stochastic gradient descent with momentum.

Reference: Sutskever et al., "On the Importance of Initialization and Momentum in Deep Learning", ICML 2013. The
implementation is torch's.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def sgd(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """Build SGD over all parameters, in one fused kernel.

    Args:
        parameters: to be trained.
        lr: learning rate, above 0.
        weight_decay: added to the gradient, at least 0.
        momentum: share of the last step that goes on, from 0 to below 1.
        nesterov: whether the gradient counts at the place the momentum leads to.
    """
    return torch.optim.SGD(
        parameters, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, fused=True
    )
