r"""Freeze: the control that separates "stop training the layers" from "round them".

    w_q = w,  dw = 0 from the moment of prepare on

The layers that a quantizer with the same spec would choose keep their float weights and stop training; biases,
BatchNorm and what the spec skips train on. A gain of quantization that this control shows too is no gain of rounding.

Reference: control of this benchmark, suggested by the released code of Javed et al., "QT-DoG", ICML 2025, whose
optimizer loses the quantized layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Audit, Plan, Quantizer, SiteAudit, Skipped, Support
from .export import SiteExport
from .insertion import latent_parameter
from .layers import choose
from .spec import QuantSpec, SiteSpec


def freeze_weights(model: nn.Module, sites: tuple[SiteSpec, ...]) -> tuple[str, ...]:
    """Stop training the sites' weights and return their dotted names; gradients left over are dropped."""
    names = tuple(site.key for site in sites)
    for name in names:
        weight = latent_parameter(model, name)
        weight.requires_grad_(False)
        weight.grad = None
    return names


class Freeze(Quantizer):
    """Freeze stops training float weights; the layers are listed as frozen and as skipped, none as quantized."""

    name = "freeze"
    reference = "control: float weights frozen at the start step"
    role = "control"
    meaning = "freezing the convolutions at the same step"
    family = "control"

    def supports(self, model: nn.Module, spec: QuantSpec) -> Support:
        """Refuse bits for layer inputs, which would stand in the cell's label and mean nothing."""
        for site in choose(model, spec)[0]:
            if site.act_bits is not None:
                reason = f"{self.name} acts on weights only, got act_bits={site.act_bits}; write act_bits=null"
                return Support(False, f"{site.name}: {reason}")
        return Support(True)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Freeze the weights of the layers that the spec chooses.

        Raises:
            NoMatchError: a rule of the spec matches no layer.
        """
        sites, skipped = choose(model, self.spec)
        frozen = freeze_weights(model, tuple(sites))
        kept = tuple(Skipped(site.name, "frozen in float, not quantized") for site in sites)
        self.plan = Plan((), (*kept, *skipped), (), frozen)
        self._origin = {name: latent_parameter(model, name).detach().clone() for name in frozen}
        return self.plan

    def audit(self, model: nn.Module) -> Audit:
        """Show that the frozen weights stayed: no levels, no noise, and ``weight_moved`` of exactly 0."""
        sites = {}
        for name, start in self._origin.items():
            weight = latent_parameter(model, name).detach()
            moved = float((weight - start.to(weight.device)).norm() / start.norm().clamp_min(1e-12))
            site = SiteAudit(levels_used=0, noise_to_signal=0.0, saturation=0.0, weight_moved=moved)
            sites[name.removesuffix(".weight")] = site
        return Audit(self.name, sites)

    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Return no integers, since the weights are float."""
        return {}
