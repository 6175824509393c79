r"""Oscillation: how often a weight's code goes back to where it came from.

    d_t = sign(code_(t-1) - code_t);   o_t = 1 where d_t is not 0 and the last d that was not 0 had the other sign
    f_t = m o_t + (1 - m) f_(t-1),   mean code e_t = m code_t + (1 - m) e_(t-1),   m = 0.01

One update for each optimizer step. f starts at 0, e at the first code.

Reference: Nagel et al., "Overcoming Oscillations in Quantization-Aware Training", ICML 2022, section 3; Qualcomm's
release (BSD-3-Clause-Clear, no patent grant) was read for the order of the steps, none of it copied.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def turned(last: Tensor, codes: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Say which codes turn back.

    Args:
        last: codes before the step, int16.
        codes: after it, int16, of the same shape.
        direction: the last d that was not 0, int8, 0 before any.

    Returns:
        o_t as booleans, and the direction after the step.
    """
    now = torch.sign(last - codes).to(torch.int8)
    return now * direction == -1, torch.where(now != 0, now, direction)


class Oscillations(nn.Module):
    """It follows the codes of one weight.

    Args:
        codes: the first ones, of the weight's shape.
        momentum: m, above 0 to 1.

    Attributes:
        rate: f, 0 to 1, of the weight's shape.
        mean: e, of the weight's shape.
    """

    rate: Tensor
    mean: Tensor
    last: Tensor
    direction: Tensor

    def __init__(self, codes: Tensor, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("last", codes.to(torch.int16))
        self.register_buffer("direction", torch.zeros_like(codes, dtype=torch.int8))
        self.register_buffer("rate", torch.zeros_like(codes, dtype=torch.float32))
        self.register_buffer("mean", codes.to(torch.float32))

    @torch.no_grad()
    def update(self, codes: Tensor) -> Tensor:
        """Take in the codes after an optimizer step; returns which of them oscillated, of their shape."""
        oscillated, direction = turned(self.last, codes.to(torch.int16), self.direction)
        self.rate.lerp_(oscillated.float(), self.momentum)
        self.mean.lerp_(codes.float(), self.momentum)
        self.direction.copy_(direction)
        self.last.copy_(codes)
        return oscillated
