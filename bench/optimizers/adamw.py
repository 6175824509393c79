"""AdamW: Adam whose weight decay acts on the weights, not through the gradient.

Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. The implementation is torch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn


def adamw(
    parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, betas: Sequence[float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Build AdamW over all parameters, in one fused kernel.

    Args:
        parameters: to be trained.
        lr: learning rate, above 0.
        weight_decay: share of the weights taken off a step, times the learning rate, at least 0.
        betas: decay of the two moments, each from 0 to below 1.
    """
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, betas=(betas[0], betas[1]), fused=True)
