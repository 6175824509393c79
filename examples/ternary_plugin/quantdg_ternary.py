r"""Ternary weights: every weight is -a, 0 or a.

    w_q = a sign(w) where |w| > t, else 0;   t = 0.7 E|w|,   a = E(|w| : |w| > t),   dw_q/dw = 1

t and a are computed per output channel from the present weight, so there is nothing to learn and nothing to store.

Reference: Li, Zhang and Liu, "Ternary Weight Networks", arXiv 1605.04711, 2016, section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantdg.quantizers.fake_quant import FakeQuant, QParams
from quantdg.quantizers.sites import SiteQuantizer
from quantdg.quantizers.spec import SiteSpec


class TernaryQuant(FakeQuant):
    """This rounds a weight (channels, ...) to three values a channel; the gradient passes straight through."""

    @torch.no_grad()
    def split(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return which weights are not 0, and a of shape (channels, 1, ...)."""
        magnitude, dims = w.abs(), tuple(range(1, w.dim()))
        kept = magnitude > 0.7 * magnitude.mean(dims, keepdim=True)
        a = (magnitude * kept).sum(dims, keepdim=True) / kept.sum(dims, keepdim=True).clamp_min(1)
        return kept, a.clamp_min(1e-8)

    def forward(self, x: Tensor) -> Tensor:
        """Return w_q; adding the exact zero w - w hands the gradient on without changing a bit."""
        kept, a = self.split(x)
        return a * x.detach().sign() * kept + (x - x.detach())

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return codes -1, 0, 1 with scale a."""
        assert x is not None
        scale = self.split(x)[1].flatten()
        return QParams(scale, torch.zeros_like(scale), -1, 1, axis=0)


class Ternary(SiteQuantizer):
    """Ternary quantizes weights and leaves inputs in float."""

    name = "ternary"
    reference = "Li et al., Ternary Weight Networks, arXiv 1605.04711"
    meaning = "rounding to three values a channel"
    beyond = "passed"

    def refuses(self, site: SiteSpec) -> str:
        """Refuse other bits than 2, which three levels need, and one scale for the tensor."""
        if site.weight_bits != 2:
            return f"ternary weights take 2 bits, got weight_bits={site.weight_bits}; write weight_bits=2"
        if site.granularity != "per_channel":
            return f"ternary scales are per channel, got {site.granularity}; write granularity=per_channel"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the fake quantizer, which has no state."""
        return TernaryQuant()
