"""The base of most methods: one fake quantizer for each weight and, where the spec asks, each layer input.

Swap, calibration, audit and export are written here once; a method that fits subclasses `SiteQuantizer` and
writes its fake quantizer. The pieces are in `quantdg.quantizers.fake_quant` and `quantdg.quantizers.layers`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, QuantizerError
from .acting import keep_acting, watched
from .base import Audit, Plan, Quantizer, SiteAudit, Support, noise_to_signal
from .edges import dead_share, grid_distance
from .export import OutputExport, QTensor, SiteExport
from .fake_quant import FakeQuant, calibrating, codes_of, fake_quants, to_act_quant
from .float_weights import left_float, multiplied
from .groups import Groups, group_reason, quantizer_of
from .insertion import Inserted, Site, insert_sites, leave_fast_path, sites_of
from .layers import choose
from .movement import Movement
from .outputs import audit_outputs, check_outputs_ran, insert_outputs, output_grids
from .placement import Placed, place, place_reason
from .spec import QuantSpec, SiteSpec


class SiteQuantizer(Quantizer):
    """A site quantizer consists of one fake quantizer for each weight and, optionally, each layer input.

    A subclass writes `weight_quantizer`, where it quantizes inputs `act_quantizer`, and where it cannot do
    everything a spec can ask for `refuses`.

    Attributes:
        fixed_scale_reason: says why the scale of the weights cannot be multiplied, or is empty: then
            `weight_quantizer` multiplies the scale it starts from by ``self.scale_factor``.
        affine: whether ``symmetric=False`` is honoured.
        groups: how scales per group of input channels are honoured, see `quantdg.quantizers.groups`.
        is_base: whether methods over any grid may build on this class (`quantdg.quantizers.over`); subclasses say for themselves.
        averages: the policies for a model with averaged weights, the default first: ``average`` keeps the averaged
            parameters, ``keep`` the buffers as they are, ``recalibrate`` sets the ranges anew.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`.
        seed: as for `Quantizer`.
        averaged: one of ``averages``, or None for the first.
        scale_factor: factor on the weights' scale at the same number of codes, > 0; see
            `quantdg.quantizers.noise_matching`.

    Raises:
        ConfigError: an argument is out of range, or ``scale_factor`` is not 1 where the scale is fixed.
    """

    fixed_scale_reason: str = "its weight quantizer reads no scale_factor"
    affine: ClassVar[bool] = False
    groups: Groups = "split"
    is_base: ClassVar[bool] = False
    averages: ClassVar[tuple[str, ...]] = ("average",)

    _calibrated: bool

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        scale_factor: float = 1.0,
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed)
        self._movement = Movement()
        if not 0 < scale_factor < math.inf:
            raise ConfigError(f"scale_factor must be above 0, got {scale_factor}; write for example scale_factor=1.5")
        if scale_factor != 1 and self.fixed_scale_reason:
            raise ConfigError(
                f"the scale of {self.name} cannot be multiplied ({self.fixed_scale_reason}), got scale_factor="
                f"{scale_factor}; write scale_factor=1"
            )
        self.scale_factor, self.averaged = scale_factor, averaged or self.averages[0]
        if self.averaged not in self.averages:
            raise ConfigError(f"averaged must be one of {', '.join(self.averages)} for {self.name}, got {averaged!r}")

    @abstractmethod
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the fake quantizer of one weight, initialised from it."""

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Make the fake quantizer of one layer input; this is called only where ``site.act_bits`` is set."""
        raise QuantizerError(f"{self.name} quantizes weights only; write spec.act_bits=null")

    def refuses(self, site: SiteSpec) -> str:
        """Say why this layer cannot be quantized as asked, or return an empty string."""
        if site.act_bits is not None and type(self).act_quantizer is SiteQuantizer.act_quantizer:
            return f"{self.name} quantizes weights only, got act_bits={site.act_bits}; write act_bits=null"
        if not site.symmetric and not self.affine:
            return f"{self.name} keeps the zero point of weights at 0, got symmetric=False; write symmetric=True"
        return ""

    def supports(self, model: nn.Module, spec: QuantSpec) -> Support:
        """Say whether every layer that ``spec`` chooses can be quantized as asked.

        Raises:
            NoMatchError: a rule of the spec matches no layer.
        """
        sites, skipped = choose(model, spec)
        if not sites:
            why = "; ".join(f"{layer.name}: {layer.reason}" for layer in skipped[:3]) or "it has none that can be"
            return Support(False, f"no layer of this model is quantized ({why})")
        pairs = ((s, self.refuses(s) or group_reason(model.get_submodule(s.module), s, self.groups)) for s in sites)
        reason = next((f"{site.name}: {why}" for site, why in pairs if why), "")
        reason = reason or place_reason(model, spec, sites)
        return Support(not reason, reason)

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Swap the layers' classes, then run ``example`` once so that all state exists.

        Weights that this forward does not read or no quantizer takes are skipped; inputs left float are in ``float_inputs``.

        Raises:
            NoMatchError: a rule of the spec matches no layer.
            QuantizerError: `supports` refuses, with its reason.
        """
        support = self.supports(model, self.spec)
        if not support.ok:
            raise QuantizerError(support.reason)
        chosen, skipped = choose(model, self.spec)
        before, placed = {id(p) for p in model.parameters()}, place(model, self.spec, chosen)
        inserted = self._insert(model, chosen, placed, example.device)
        leave_fast_path(model)
        with watched(model) as ran, multiplied(model) as factors:
            self._set_ranges(model, [example])
        check_outputs_ran(model, placed.outputs, ran)
        sites, idle, inputs = keep_acting(inserted, ran, placed.readers)
        if chosen and not sites:
            raise QuantizerError(f"a quantized weight must be read by the model, but none is, not {idle[0].name!r}")
        new = tuple(name for name, p in model.named_parameters() if id(p) not in before)
        floats = left_float(model, factors, sites, skipped, idle=idle)
        plan = Plan(tuple(sites), floats, new, float_inputs=tuple(inputs))
        self.plan = replace(plan, outputs=tuple(placed.outputs), float_outputs=tuple(placed.floats))
        self._movement.start_from(self._watched(model))
        self._calibrated = False
        return self.plan

    def _insert(self, model: nn.Module, chosen: list[SiteSpec], placed: Placed, device: torch.device) -> list[Inserted]:
        def act(site: SiteSpec) -> FakeQuant:
            return self.act_quantizer(site).to(device)

        make = partial(quantizer_of, self.weight_quantizer, groups=self.groups)
        sites = insert_sites(model, chosen, placed.readers, weight=make, act=act)
        insert_outputs(model, placed, self.spec, act)
        return sites

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Run the batches through in calibration mode.

        The first call after prepare also sets the origin of the movement that `audit` reports; later ones, for
        example on an averaged model, and a loaded checkpoint leave it at the branch point.

        Raises:
            QuantizerError: there is no batch.
        """
        self._set_ranges(model, batches)
        if not self._calibrated:
            self._movement.start_from(self._watched(model))
            self._calibrated = True

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Let each fake quantizer put its parameters back into their range, and those of weights move their schedules."""
        for quant in fake_quants(model):
            quant.project()
        latent = {site.weight_quant: site.latent for _, site in sites_of(model)}  # once where layers are tied
        for quant, weight in latent.items():
            quant.advance(weight, step)

    def after_average(self, model: nn.Module, batches: Iterable[Tensor]) -> str:
        """Apply the policy ``averaged`` and return its name."""
        if self.averaged == "recalibrate":
            self._set_ranges(model, batches)
        return self.averaged

    def _set_ranges(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        with calibrating(model):
            count = sum(1 for batch in batches if model(batch) is not None)
        if count == 0:
            raise QuantizerError("calibrate needs at least one batch, got none; pass a list of input tensors")

    def _watched(self, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
        for _, site in sites_of(model):
            yield site.key, site.latent
        for name in self.plan.parameters:
            yield name, model.get_parameter(name)

    def audit(self, model: nn.Module) -> Audit:
        """Read levels, noise, saturation and movement of each site from the model itself."""
        sites = {name: self._audit_site(site) for name, site in sites_of(model)}
        return Audit(self.name, sites, audit_outputs(model, self.plan, self._movement))

    @torch.no_grad()
    def _audit_site(self, site: Site) -> SiteAudit:
        weight = site.latent
        q, exported = site.weight_quant.qparams(weight), self._weight(site)
        codes = exported.codes
        low, high = (q.qmin, q.qmax) if q.levels is None else (0, len(q.levels) - 1)
        scales = self._movement.of_scales((n, site.own_parameter(n)) for n in self.plan.parameters if site.owns(n))
        return SiteAudit(
            levels_used=int(torch.unique(codes).numel()),
            noise_to_signal=noise_to_signal(exported.dequantize() - weight, weight),
            saturation=float(((codes <= low) | (codes >= high)).float().mean()),
            weight_moved=self.moved(site.key, weight),
            scale_moved=scales.moved,
            scale_gradient=scales.gradient,
            grid_distance=grid_distance(weight, q),
            unfit=site.weight_quant.unfit(weight),
            own=site.weight_quant.own(weight),
            dead=dead_share(site.weight_quant, weight, exported) if self.dead_weights else None,
        )

    def moved(self, name: str, now: Tensor) -> float:
        """Compute ||now - start|| / ||start|| of the Parameter ``name``, start being the branch point."""
        return self._movement.of_weight(name, now)

    def _weight(self, site: Site) -> QTensor:
        bits = next(s.weight_bits for s in self.plan.sites if s.name == site.name)
        return codes_of(site.weight_quant, site.latent, bits)

    @torch.no_grad()
    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Recover the codes from each site's own fake quantizer, with the input's grid where there is one."""
        out, inserted, outputs = {}, dict(sites_of(model)), self.outputs(model)
        acts = {name: output.act for output in outputs.values() for name in output.readers}
        for spec in self.plan.sites:
            site, act = inserted[spec.name], acts.get(spec.name)
            if site.act_quant is not None and spec.act_bits is not None:
                act = to_act_quant(spec.name, site.act_quant.qparams(), spec.act_bits)
            out[spec.name] = SiteExport(self._weight(site), act, parameter=spec.parameter)
        return out

    def outputs(self, model: nn.Module) -> dict[str, OutputExport]:
        """Return the grid of each quantized output's fake quantizer."""
        return output_grids(model, self.plan.outputs)
