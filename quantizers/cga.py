r"""CGA: late in the training only weights that are about to change their code still move.

    v = w / s + z in codes;   free where |v - floor(v) - 1/2| <= margin between two codes in use;   others stand still

It is the opposite of freezing what oscillates: confidence-guided annealing freezes what is far from every edge and lets
the rest find its side. Which weights are free is decided anew after each step; the others get no gradient and are put
back, whatever momentum and decay did. A scale that follows the weights or learns may still move a code. It begins
``start`` steps after insertion. The paper anneals 2-D weights of transformers, over StatsQ.

Reference: Liu et al., "Oscillation-free Quantization for Low-bit Vision Transformers", ICML 2023, section 4.3; margin
0.005 as in its release (MIT).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .fake_quant import FakeQuant
from .over import OverQuant, OverQuantizer
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec


class AnnealingQuant(OverQuant):
    """This fake quantizer lets only weights near an edge train.

    Args:
        inner: the base's fake quantizer, of a uniform grid.
        weight: to begin with.
        start: steps before it begins, at least 0.
        margin: distance from an edge in codes, above 0 to 0.5.
    """

    free: Tensor
    before: Tensor

    def __init__(self, inner: FakeQuant, weight: Tensor, *, start: int, margin: float) -> None:
        super().__init__(inner)
        self.start, self.margin = start, margin
        self.register_buffer("before", weight.detach().clone())
        self.register_buffer("free", torch.ones_like(weight, dtype=torch.bool))
        if start == 0:
            self._choose(weight)

    @torch.no_grad()
    def _choose(self, weight: Tensor) -> None:
        q = self.inner.qparams(weight)
        scale, zero = q.against(weight)
        v = weight / scale + zero
        codes = v.round().clamp(q.qmin, q.qmax)
        below = v.floor()
        inner = (below >= codes.min()) & (below < codes.max())
        self.free.copy_(inner & ((v - below - 0.5).abs() <= self.margin))

    def forward(self, x: Tensor) -> Tensor:
        """Return the base's output; weights that stand still pass no gradient."""
        out: Tensor = self.inner(torch.where(self.free, x, x.detach()) if self.training else x)
        return out

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``free``, the share of the weights that move in the next step, 0 to 1."""
        return {**super().own(x), "free": float(self.free.float().mean())}

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Put back what stands still, then choose anew what is free."""
        weight.copy_(torch.where(self.free, weight, self.before))
        super().advance(weight, step)
        if step >= self.start:
            self._choose(weight)
        self.before.copy_(weight)


@torch.no_grad()
def _rounds_to_nearest(base: SiteQuantizer, site: SiteSpec) -> bool:
    probe = torch.linspace(-1, 1, 130).reshape(2, 65)
    quant = base.weight_quantizer(probe, site).eval()
    q = quant.qparams(probe)
    if q.levels is not None:
        return False
    scale, zero = q.against(probe)
    nearest = ((probe / scale + zero).round().clamp(q.qmin, q.qmax) - zero) * scale
    return bool(torch.isclose(quant(probe), nearest, atol=1e-6).float().mean() > 0.9)


class CGA(OverQuantizer):
    """CGA anneals the weights near an edge, over a uniform grid.

    Args:
        spec: what to quantize.
        base: as for `OverQuantizer`; the paper's is ``statsq``.
        start: steps after insertion before it begins, at least 0.
        margin: distance from an edge, in codes, up to which a weight is free, above 0 to 0.5.
        options: the other settings of `OverQuantizer`.
    """

    name = "cga"
    reference = "Liu et al., Oscillation-free Quantization, ICML 2023 (confidence-guided annealing)"
    meaning = "rounding, with all weights but those near an edge standing still at the end"
    dead_weights = "only weights near an edge are free"
    family = "schedule"

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        base: str = "statsq",
        start: int = 60,
        margin: float = 0.005,
        **options: Any,
    ) -> None:
        super().__init__(spec, base=base, **options)
        if start < 0 or not 0 < margin <= 0.5:
            raise ConfigError(
                f"start must be at least 0 and margin above 0 to 0.5, got {start} and {margin}; the release has margin 0.005"
            )
        self.start, self.margin = start, margin

    def refuses(self, site: SiteSpec) -> str:
        """Refuse what the base refuses, and a base whose edges are not halfway between two codes of the weight."""
        reason = super().refuses(site)
        if not reason and not _rounds_to_nearest(self.base, site):
            return f"cga needs a uniform grid of the weight itself, got base={self.base.name}; write base=statsq or base=lsq"
        return reason

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make an `AnnealingQuant`."""
        return AnnealingQuant(inner, weight, start=self.start, margin=self.margin)
