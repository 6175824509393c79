r"""Uniform noise: the control that separates rounding from noise of the same size.

    training: w' = w + s u,  u ~ U(-1/2, 1/2) drawn afresh each step;   eval: w' = w;   dw'/dw = 1

s is LSQ's starting step per output channel, 2 E|w| / sqrt(2^(b-1) - 1), fixed at prepare: rounding with step s has
about this error, s / sqrt(12). The draw is a function of (seed, layer name, step) alone, so the global generator
is untouched, a resumed run draws the same, and a second pass within a step (SAM) sees the same weights.

Reference: control of this benchmark; after Javed et al., "QT-DoG", ICML 2025, section 3.2 and Table 15, there with a
fixed amplitude.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from .base import Audit, Plan, SiteAudit, SiteExport, Skipped
from .round_freeze import lsq_step
from .sites import FakeQuant, SiteQuantizer, sites_of
from .spec import SiteSpec


class NoiseQuant(FakeQuant):
    """Adds uniform noise while training.

    Args:
        step: width of the noise, shape ``(channels, 1, ...)`` or ``()``, positive.
        seed, name: with the number of optimizer steps done they fix the draw.
    """

    step: Tensor
    steps_done: Tensor

    def __init__(self, step: Tensor, seed: int, name: str) -> None:
        super().__init__()
        self.register_buffer("step", step)
        self.register_buffer("steps_done", torch.tensor(0))
        self.key = f"{seed}/{name}"
        self._now = 0

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._now = int(self.steps_done)

    def advance(self, step: int) -> None:
        """Note that ``step`` optimizer steps are done: the next forward draws anew."""
        self.steps_done.fill_(step)
        self._now = step

    def noise(self, x: Tensor) -> Tensor:
        """This step's draw, of x's shape. The stream depends on the device's kind."""
        digest = hashlib.sha256(f"{self.key}/{self._now}".encode()).digest()
        generator = torch.Generator(device=x.device).manual_seed(int.from_bytes(digest[:7], "big"))
        return (torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) - 0.5) * self.step

    def forward(self, x: Tensor) -> Tensor:
        """Add this step's noise in training; return x itself in eval."""
        return x + self.noise(x) if self.training else x


class UniformNoise(SiteQuantizer):
    """Float weights perturbed in training. The layers are listed as skipped, none as quantized."""

    name = "uniform_noise"
    step_is_fixed = ""
    reference = "control: noise of the size of LSQ's rounding error, without rounding"
    role = "control"
    meaning = "noise of the same size"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Noise as wide as the step LSQ would start from, times step_scale."""
        return NoiseQuant(self.step_scale * lsq_step(weight, site), self.seed, site.name)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the noise; a plan without sites says that there are no integers to store."""
        plan = super().prepare(model, example)
        perturbed = tuple(Skipped(s.name, "perturbed by uniform noise in training, not quantized") for s in plan.sites)
        self.plan = replace(plan, sites=(), skipped=(*perturbed, *plan.skipped))
        return self.plan

    def on_step(self, model: nn.Module, step: int) -> None:
        """The next step draws anew."""
        for _, site in sites_of(model):
            site.weight_quant.advance(step)

    @torch.no_grad()
    def audit(self, model: nn.Module) -> Audit:
        """Size of the present noise and movement of the weights; no levels and no saturation."""
        sites = {}
        for name, site in sites_of(model):
            weight = site._parameters["weight"]
            ratio = float(site.weight_quant.noise(weight).std() / weight.std().clamp_min(1e-12))
            sites[name] = SiteAudit(0, ratio, 0.0, self.moved(f"{name}.weight", weight))
        return Audit(self.name, sites)

    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """No integers: the weights that are evaluated are float."""
        return {}
