r"""Uniform noise: the control that separates rounding from noise of the same size.

    training: w' = w + s u,  u ~ U(-1/2, 1/2) drawn afresh each step;   eval: w' = w;   dw'/dw = 1

s is LSQ's initial scale per output channel, 2 E|w| / sqrt(2^(b-1) - 1), fixed at prepare: rounding with scale s has
about this error, s / sqrt(12). The draw is a function of (seed, layer name, step) alone, so the global generator
is untouched, a resumed run draws the same, and a second pass within a step (SAM) sees the same weights.

Reference: control of this benchmark; after Javed et al., "QT-DoG", ICML 2025, section 3.2 and Table 15, there with a
fixed amplitude: ``amplitude`` gives every weight u ~ U(-amplitude, amplitude) in place of the above. Ours: the noise is drawn anew
at each step of training and is not there in evaluation; the paper does not say how or when it is injected.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import Audit, Plan, SiteAudit, Skipped, noise_to_signal
from .draws import Draws
from .export import SiteExport
from .fake_quant import FakeQuant
from .layers import sites_of
from .lsq import initial_weight_scale
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec


class NoiseQuant(FakeQuant):
    """This module adds uniform noise while training.

    Args:
        scale: width of the noise, shape ``(channels, 1, ...)`` or ``()``, positive.
        seed: of the quantizer, >= 0.
        name: dotted name of the layer.
    """

    scale: Tensor

    def __init__(self, scale: Tensor, seed: int, name: str) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.draws = Draws(seed, name)

    def noise(self, x: Tensor) -> Tensor:
        """Return this step's draw, of x's shape."""
        return (self.draws.uniform(x) - 0.5) * self.scale

    def advance(self, weight: Tensor, step: int) -> None:
        """Let the next forward draw anew."""
        self.draws.count(step)

    def forward(self, x: Tensor) -> Tensor:
        """Add this step's noise in training; return x itself in eval."""
        return x + self.noise(x) if self.training else x


class UniformNoise(SiteQuantizer):
    """UniformNoise perturbs float weights in training; the layers are listed as skipped, none as quantized.

    Args:
        spec: which layers, and the bits whose scale is the width of the noise.
        lr_ratio: as for `Quantizer`; without effect, since the noise learns nothing.
        seed: as for `Quantizer`.
        averaged: as for `SiteQuantizer`.
        scale_factor: as for `SiteQuantizer`; factor on the width of the noise.
        amplitude: of the noise on every weight, above 0, whatever the bits; None: half of LSQ's initial scale.
    """

    name = "uniform_noise"
    fixed_scale_reason = ""
    reference = "control: noise of the size of LSQ's rounding error, without rounding"
    role = "control"
    meaning = "noise of the same size"
    family = "control"

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        scale_factor: float = 1.0,
        amplitude: float | None = None,
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged, scale_factor=scale_factor)
        if amplitude is not None and not 0 < amplitude < math.inf:
            raise ConfigError(f"amplitude must be above 0 or null, got {amplitude}; write for example amplitude=1e-5")
        self.amplitude = amplitude

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make noise as wide as the scale LSQ would start from, or of the amplitude, times scale_factor."""
        scale = initial_weight_scale(weight, site)
        if self.amplitude is not None:
            scale = torch.full_like(scale, 2 * self.amplitude)
        return NoiseQuant(self.scale_factor * scale, self.seed, site.name)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the noise; the plan lists no sites, since there are no integers to store."""
        plan = super().prepare(model, example)
        perturbed = tuple(Skipped(s.name, "perturbed by uniform noise in training, not quantized") for s in plan.sites)
        self.plan = replace(plan, sites=(), skipped=(*perturbed, *plan.skipped))
        return self.plan

    @torch.no_grad()
    def audit(self, model: nn.Module) -> Audit:
        """Measure the present noise and the movement of the weights; there are no levels and no saturation."""
        sites = {}
        for name, site in sites_of(model):
            quant, weight = site.as_seen()
            ratio = noise_to_signal(quant.noise(weight), weight)
            moved = self.moved(site.key, site.latent)
            sites[name] = SiteAudit(levels_used=0, noise_to_signal=ratio, saturation=0.0, weight_moved=moved)
        return Audit(self.name, sites)

    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Return no integers, since the weights that are evaluated are float."""
        return {}
