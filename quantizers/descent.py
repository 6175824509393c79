"""A step of an optimizer that leaves all other gradients of a network alone."""

from __future__ import annotations

import torch
from torch import Tensor


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step of the optimizer's own parameters; no other gets a gradient."""
    own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
        parameter.grad = gradient
    optimizer.step()
