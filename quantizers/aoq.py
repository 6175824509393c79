r"""AOQ: thresholds and levels of a 2-bit grid part ways; the grid shrinks at first, so that weights change cells.

    cell k: t_k <= w < t_(k+1),   t = (-1, 0, 1) a alpha;   w_q = l_k b alpha,   l = (-3/2, -1/2, 1/2, 3/2)
    a = b = sd(w) at insertion;   dw_q/dw = 1, without a mask;   dw_q/db = l_k alpha
    phase 1, a sixth of the steps:  alpha falls from 1 to ``shrink`` as a cosine, in ten stairs; b stands still
    phase 2, to the half:           alpha stays, b is learned
    phase 3:                        b is learned; the loss gets ``pull`` times the sum over layers of ||w - centre of its cell||

BatchNorm that is frozen, as in domain generalization, does not make up for a grid of .3 of its size: on the digits at 2 bits
(120 steps, seed 0, the five styles of then) the mean accuracy is 24.2 % with the release's ``shrink=0.3`` and 55.4 % with 1, LSQ's 54.9 %.

The opposite of damping oscillations: crossings are wanted early and not at the end. The audit has them: the share of a
layer's weights that a step, or the stair after it, puts into another cell, as a mean over the steps of each phase. Ours: phases are shares of the steps
after insertion (in the paper 50, 150 and 300 epochs from scratch); the centres of the outer cells lie where the levels
would, at 3/2 a alpha; one interval a channel where the spec says so; no teacher. The release has 2 bits alone, and no
licence: re-derived from the equations. The levels have no zero among them, so no integer runtime takes the grid.

Reference: "AOQ", ICCV 2025 (release muzenc/AOQ; the paper beyond its abstract could not be read).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..core.counted import Counted
from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, shared_dims
from .layers import sites_of
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec, integer_range

BITS = 2
MIDDLE = 1.5
"""The zero point: halfway between the second and the third code."""
STAIRS = 10


class _OntoCells(torch.autograd.Function):
    """Puts x into cells and gives their values; straight-through to x, the sum of the levels to their interval."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: Tensor, interval: Tensor) -> Tensor:
        levels = cells(x, width) - MIDDLE
        ctx.save_for_backward(levels)
        ctx.shape = interval.shape
        return levels * interval

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor]:
        (grad,), (levels,) = grads, ctx.saved_tensors
        return grad, None, (grad * levels).sum_to_size(ctx.shape)


def cells(x: Tensor, width: Tensor) -> Tensor:
    """Return the code 0 to 3 of each value; the thresholds are -width, 0 and width."""
    return torch.floor(x / width).clamp_(-2, 1) + 2


class AOQQuant(Counted, FakeQuant):
    """This fake quantizer has thresholds and levels of its own.

    Args:
        weight: its deviation sets both intervals.
        per_channel: one interval for each index of dimension 0, else one for the tensor.
        scale_factor: factor on both, > 0.
        steps: of the three phases together, after insertion.
        shrink: alpha after phase 1.

    Attributes:
        thresholds: a, shape (channels, 1, ...) or (), fixed.
        interval: b, of the same shape, learned from phase 2 on.
        codes: the cell of each weight after the last step.
        crossed: sums of the shares of weights that changed their cell, by phase.
        counted: steps in these sums.
    """

    thresholds: Tensor
    alpha: Tensor
    codes: Tensor
    crossed: Tensor
    counted: Tensor

    def __init__(self, weight: Tensor, *, per_channel: bool, scale_factor: float, steps: int, shrink: float) -> None:
        super().__init__()
        deviation = weight.detach().std(shared_dims(weight, per_channel), keepdim=per_channel).nan_to_num()
        start = (scale_factor * deviation).clamp_min(SMALLEST_SCALE)
        self.steps, self.shrink = steps, shrink
        self.interval = nn.Parameter(start.clone())
        self.register_buffer("thresholds", start)
        self.register_buffer("alpha", torch.tensor(1.0))
        self.register_buffer("codes", cells(weight.detach(), start).to(torch.int8))
        self.register_buffer("crossed", torch.zeros(3))
        self.register_buffer("counted", torch.zeros(3))
        self.start_counting()

    @property
    def phase(self) -> int:
        """1, 2 or 3."""
        return 1 + (6 * self.now >= self.steps) + (2 * self.now >= self.steps)

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight."""
        interval = self.interval.detach() if self.phase == 1 else self.interval
        out: Tensor = _OntoCells.apply(x, self.thresholds * self.alpha, interval * self.alpha)
        return out

    def far(self, x: Tensor) -> Tensor:
        """Compute ||x - centre of its cell||, a scalar."""
        width = self.thresholds * self.alpha
        norm: Tensor = torch.linalg.vector_norm(x - (cells(x.detach(), width) - MIDDLE) * width)
        return norm

    def project(self) -> None:
        """Keep the interval positive: the update may overshoot zero."""
        self.interval.data.clamp_(min=SMALLEST_SCALE)

    def own(self, x: Tensor) -> dict[str, float]:
        """Return ``crossings_1`` to ``_3``: the mean share of weights that change their cell in a step of the phase, 0 to 1."""
        shares = zip(self.crossed.tolist(), self.counted.tolist(), strict=True)
        return {f"crossings_{phase}": total / steps for phase, (total, steps) in enumerate(shares, 1) if steps}

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Take the next stair of the shrinking grid where it is due, and count what changed its cell."""
        phase = self.phase
        self.count(step)
        stair = min(math.floor(STAIRS * 6 * step / self.steps), STAIRS)
        self.alpha.fill_((1 + self.shrink) / 2 + (1 - self.shrink) / 2 * math.cos(math.pi * stair / STAIRS))
        now = cells(weight, self.thresholds * self.alpha).to(torch.int8)
        self.crossed[phase - 1] += (now != self.codes).float().mean()
        self.counted[phase - 1] += 1
        self.codes.copy_(now)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale b alpha, zero point 3/2, codes 0 to 3."""
        q = QParams.symmetric(self.interval * self.alpha, integer_range(BITS, signed=False))
        return q._replace(zero_point=torch.full_like(q.scale, MIDDLE))


class AOQ(SiteQuantizer):
    """AOQ moves weights between four cells early and holds them in the middle of their cells late.

    Args:
        spec: what to quantize, at 2 bits.
        steps: of the three phases together, at least 6; the steps that are left after insertion.
        shrink: alpha after phase 1, above 0 to 1; .3 in the release. BatchNorm that is frozen does not make up for it.
        pull: factor of the term of phase 3, at least 0.
        options: the settings of `SiteQuantizer`.
    """

    name = "aoq"
    fixed_scale_reason = ""
    reference = "AOQ, ICCV 2025 (equations of the release)"
    meaning = "rounding to 2 bits on a grid that shrinks, then learns its levels"
    family = "learned"
    beyond = "passed"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        steps: int = 120,
        shrink: float = 0.3,
        pull: float = 0.01,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        if steps < 6 or pull < 0 or not 0 < shrink <= 1:
            raise ConfigError(
                f"steps must be at least 6, pull at least 0 and shrink above 0 to 1, got {steps}, {pull} and {shrink}; write "
                "the steps that are left after insertion, pull=0.01 and shrink=0.3"
            )
        self.steps, self.shrink, self.pull = steps, shrink, pull

    def refuses(self, site: SiteSpec) -> str:
        """Refuse other widths than 2 bits."""
        if site.weight_bits != BITS:
            return f"AOQ is defined for 2 bits, got weight_bits={site.weight_bits}; write weight_bits=2"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the intervals of each output channel or of the tensor."""
        return AOQQuant(
            weight,
            per_channel=site.per_channel,
            scale_factor=self.scale_factor,
            steps=self.steps,
            shrink=self.shrink,
        )

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the term of phase 3, or None before."""
        quants = dict(site.as_seen() for _, site in sites_of(model))
        terms = [quant.far(weight) for quant, weight in quants.items() if quant.phase == 3]
        return self.pull * torch.stack(terms).sum() if terms and self.pull else None
