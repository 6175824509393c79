"""Optimizer truth: every trainable parameter in exactly one group, nothing else in any."""

from __future__ import annotations

import torch
from torch import nn

from ...core.errors import QuantizerError


def check_groups(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """Raise QuantizerError naming trainable parameters of ``module`` that are in no group, or foreign ones that are.

    This is the check whose absence let the released QT-DoG code train neither its quantized weights nor its
    scales. (A parameter in two groups is refused by torch itself.)
    """
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    lost = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in known]
    if lost:
        raise QuantizerError(
            f"each trainable parameter must be in an optimizer group, but {len(lost)} are in none, first {lost[0]!r}; "
            "return new parameters from param_groups and keep the old Parameter objects"
        )
    own = {id(p) for p in module.parameters()}
    foreign = sum(id(p) not in own for group in optimizer.param_groups for p in group["params"])
    if foreign:
        raise QuantizerError(
            f"the optimizer must hold only parameters of the model, but {foreign} of its parameters are not; "
            "prepare must keep Parameter objects instead of making new ones"
        )
