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

import torch
from torch import Tensor

from .descent import descend
from .layer_wise import LayerWise
from .learned_rounding import Choice, LearnedRounding
from .post_training import Rounded, Rows


class AdaRound(LearnedRounding, LayerWise):
    """AdaRound learns whether each weight is rounded up or down, layer by layer."""

    name = "adaround"
    reference = "Nagel et al., Up or Down?, ICML 2020"
    meaning = "rounding the finished float network up or down as changes a layer's outputs least"

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
            descend(optimizer, (d @ h * d).sum() + self.strength * choice.term(share, step / self.iterations))
        return choice.made()
