r"""AdaRound: whether each weight goes up or down is learned, so that the layer's outputs change little.

    w_q = s (clip(floor(w / s) + z + h(V), qmin, qmax) - z),   h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1),   start: w_q = w
    minimise  d^T H d / (s^2 mean diag H) + strength sum (1 - |2 h - 1|^beta),   d = w_q - w;   at the end up where V >= 0

No second term in the first 20 % of the iterations; then beta falls from 20 to 2 and pulls every h to 0 or 1. The paper
minimises the squared change of outputs over random batches of images; here it is its expectation over all of them, exact by
H, so a layer's images need not be kept. The division by s^2 mean diag H is ours too: the paper's 0.01 for ``strength`` fits
one size of inputs and scale only, and elsewhere ends in rounding to the nearest or in weights between two codes, whose share
is in the audit (``undecided``). Inputs are those of the quantized layers before; the paper's activation function inside the
loss is left out. Cost: ``iterations`` times rows x columns^2 a layer, 2,000 times `gptq`.

Reference: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, equations 21 to 24;
h's bounds and beta as there, 2,000 iterations at 0.01 instead of 10,000 at 0.001 are our reading.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .layer_wise import LayerWise, Rounded
from .post_training import Rows
from .spec import QuantSpec

WARM_UP = 0.2
BETAS = 20.0, 2.0
DECIDED = 0.05
"""An h that is nearer than this to 0 or 1 counts as decided."""


class Choice:
    """Between the codes below and above each weight; V is the only thing that trains.

    Args:
        rows: the weights, of any shape.
    """

    def __init__(self, rows: Rows) -> None:
        units = rows.weight / rows.scale
        floor = torch.floor(units)
        self.rows = rows
        self.low = (floor + rows.zero_point).clamp(*rows.codes)
        self.high = (floor + rows.zero_point + 1).clamp(*rows.codes)
        self.v = nn.Parameter(-torch.log(1.2 / (units - floor + 0.1) - 1).float())

    def share(self) -> Tensor:
        """Compute h; its gradient is stopped outside 0 to 1 by a mask, not by clamp, whose bounds differ by version."""
        raw = 1.2 * torch.sigmoid(self.v) - 0.1
        return torch.where((raw >= 0) & (raw <= 1), raw, raw.detach().clamp(0, 1))

    def off(self, share: Tensor) -> Tensor:
        """Compute (w_q - w) / s."""
        start = self.low - self.rows.zero_point - self.rows.weight / self.rows.scale
        return start.float() + share * (self.high - self.low).float()

    def weight(self, share: Tensor) -> Tensor:
        """Compute w_q, in single precision."""
        low, high = (self.rows.value(codes).float() for codes in (self.low, self.high))
        return low + share * (high - low)

    def term(self, share: Tensor, progress: float) -> Tensor:
        """Compute the sum of 1 - |2 h - 1|^beta, 0 in the warm-up; ``progress`` runs from 0 to 1."""
        if progress < WARM_UP:
            return share.new_zeros(())
        first, last = BETAS
        beta = first + (last - first) * (progress - WARM_UP) / (1 - WARM_UP)
        return (1 - (2 * share - 1).abs().pow(beta)).sum()

    @torch.no_grad()
    def made(self) -> Rounded:
        """Return the codes on the nearer side, and the share of weights that had come to neither."""
        share = self.share()
        open_ = (share > DECIDED) & (share < 1 - DECIDED) & (self.low < self.high)
        return Rounded(torch.where(self.v >= 0, self.high, self.low), float(open_.float().mean()))


def check_positive(**settings: float) -> None:
    """Raise ConfigError for a setting that is not above 0."""
    for name, value in settings.items():
        if not value > 0:
            raise ConfigError(f"{name} must be above 0, got {value}; leave it out for the default")


class AdaRound(LayerWise):
    """AdaRound learns whether each weight is rounded up or down.

    Args:
        spec: what to quantize.
        iterations: of Adam a layer, at least 1.
        lr: Adam's learning rate, above 0.
        strength: weight of the term that makes each rounding whole, above 0.
        options: the settings of `PostTraining`.
    """

    name = "adaround"
    reference = "Nagel et al., Up or Down?, ICML 2020"
    meaning = "rounding the finished float network up or down as changes a layer's outputs least"

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        iterations: int = 2000,
        lr: float = 0.01,
        strength: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        self.iterations, self.lr, self.strength = iterations, lr, strength
        check_positive(iterations=iterations, lr=lr, strength=strength)

    @torch.enable_grad()
    def round_rows(self, rows: Rows, hessian: Tensor) -> Rounded:
        """Learn the rounding of a layer."""
        choice = Choice(rows)
        h = (hessian / hessian.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)).float()
        relative = (rows.scale / rows.scale.square().mean(2, keepdim=True).sqrt()).float()
        optimizer = torch.optim.Adam([choice.v], self.lr)
        for step in range(self.iterations):
            share = choice.share()
            d = choice.off(share) * relative
            loss = (d @ h * d).sum() + self.strength * choice.term(share, step / self.iterations)
            (choice.v.grad,) = torch.autograd.grad(loss, [choice.v])
            optimizer.step()
        return choice.made()
