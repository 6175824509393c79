"""Quantizing layers in place: a class swap that keeps Parameters, state-dict keys and attributes.

`conv.__class__` becomes a subclass of its own class, and the fake quantizers become the child modules
``weight_quant`` and ``act_quant``. Of the insertion styles in use (module replacement, parametrization,
graph rewriting) this one alone keeps Parameter identity, float keys and an overridden ``train()`` at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quantdg.core.errors import QuantizerError
from quantdg.quantizers.base import (
    ActQuant,
    Audit,
    Plan,
    QTensor,
    Quantizer,
    SiteAudit,
    SiteExport,
    Skipped,
)
from quantdg.quantizers.spec import QuantSpec, SiteSpec

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class QParams(NamedTuple):
    """Grid of a fake quantizer.

    ``scale`` and ``zero_point`` have shape ``(channels,)`` with an ``axis``, else ``()``;
    codes run from ``qmin`` to ``qmax``; ``levels`` is the code book of a non-uniform grid.
    """

    scale: Tensor
    zero_point: Tensor
    qmin: int
    qmax: int
    axis: int | None = None
    levels: Tensor | None = None


class FakeQuant(nn.Module):
    """Maps a float tensor to its quantized value *on the same scale* (BatchNorm may be frozen).

    Ranges move only while ``calibrating`` or, for methods that track ranges, in training mode;
    an eval forward changes nothing.
    """

    calibrating: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """The fake-quantized tensor, of x's shape and dtype."""
        raise NotImplementedError

    def qparams(self) -> QParams:
        """The grid in use, detached."""
        raise NotImplementedError

    def restart(self) -> None:
        """Forget the ranges seen so far; called when a calibration starts."""


class Site:
    """Mixin of a quantized layer; the layer's own forward sees the quantized weight under ``weight``."""

    weight_quant: FakeQuant
    act_quant: FakeQuant | None

    def forward(self, x: Tensor) -> Tensor:
        """The layer on a quantized input with a quantized weight."""
        if self.act_quant is not None:
            x = self.act_quant(x)
        # An instance attribute shadows nn.Module's parameter lookup, so any layer subclass works unchanged.
        self.__dict__["weight"] = self.weight_quant(self._parameters["weight"])  # type: ignore[attr-defined]
        try:
            return super().forward(x)  # type: ignore[misc,no-any-return]
        finally:
            del self.__dict__["weight"]


class QuantConv2d(Site, nn.Conv2d):
    """A quantized nn.Conv2d; a named class, so that a model with it pickles."""


class QuantLinear(Site, nn.Linear):
    """A quantized nn.Linear; a named class, so that a model with it pickles."""


_SWAPPED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: QuantConv2d, nn.Linear: QuantLinear}


def _site_class(layer: type[nn.Module]) -> type[nn.Module]:
    if layer not in _SWAPPED:
        _SWAPPED[layer] = type(f"Quant{layer.__name__}", (Site, layer), {})
    return _SWAPPED[layer]


def candidates(model: nn.Module) -> tuple[list[str], list[Skipped]]:
    """Names of the layers that can be quantized, and those that cannot, with the reason."""
    names, skipped, attention = [], [], ""
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            attention = name + "."
        if not isinstance(module, LAYERS):
            continue
        if isinstance(module, Site):
            raise QuantizerError(f"a model can be prepared once, but {name!r} is already quantized; start from float")
        if attention and name.startswith(attention):
            skipped.append(Skipped(name, "nn.MultiheadAttention reads this weight without calling the layer"))
        else:
            names.append(name)
    return names, skipped


def choose(model: nn.Module, spec: QuantSpec) -> tuple[list[SiteSpec], list[Skipped]]:
    """The layers that ``spec`` quantizes in ``model`` and those it does not; raises NoMatchError."""
    names, skipped = candidates(model)
    spec.check_rules(names)
    sites = []
    for name in names:
        site = spec.site(name)
        if site is None:
            skipped.append(Skipped(name, "skipped by a rule of the spec"))
        else:
            sites.append(site)
    return sites, skipped


def sites_of(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The quantized layers of a prepared model, by name, in module order."""
    return ((name, m) for name, m in model.named_modules() if isinstance(m, Site))


def fake_quants(model: nn.Module) -> list[FakeQuant]:
    """All fake quantizers of a model."""
    return [m for m in model.modules() if isinstance(m, FakeQuant)]


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Within, an eval forward without gradients sets the ranges; training flags are restored after."""
    modes = {m: m.training for m in model.modules()}
    quants = fake_quants(model)
    model.eval()
    for q in quants:
        q.restart()
        q.calibrating = True
    try:
        with torch.no_grad():
            yield
    finally:
        for q in quants:
            q.calibrating = False
        for m, training in modes.items():
            m.training = training


@contextmanager
def frozen_ranges(model: nn.Module) -> Iterator[None]:
    """Within, no range moves even in training mode: for a second pass on the same batch, as in SAM."""
    quants = [m for q in fake_quants(model) for m in q.modules() if m.training]
    for m in quants:
        m.training = False
    try:
        yield
    finally:
        for m in quants:
            m.training = True


def to_qtensor(value: Tensor, q: QParams, bits: int) -> QTensor:
    """Recover the integer codes from a fake-quantized tensor; exact for values that lie on the grid."""
    shape = [1] * value.dim()
    if q.axis is not None:
        shape[q.axis] = -1
    scale, zero = q.scale.detach().float(), q.zero_point.detach().float()
    units = value.detach() / scale.reshape(shape)
    if q.levels is None:
        codes = torch.round(units) + zero.reshape(shape)
        return QTensor(codes.to(torch.int16), scale, zero, bits, q.axis)
    edges = (q.levels[1:] + q.levels[:-1]) / 2
    return QTensor(torch.bucketize(units, edges).to(torch.int16), scale, zero, bits, q.axis, q.levels)


class SiteQuantizer(Quantizer):
    """A quantizer that consists of one fake quantizer for each weight and, optionally, each layer input."""

    @abstractmethod
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """The fake quantizer of one weight, initialised from it."""

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """The fake quantizer of one layer input; called only where ``site.act_bits`` is set."""
        raise QuantizerError(f"{self.name} quantizes weights only; write spec.act_bits=null")

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Swap the layers' classes, then run ``example`` once so that all state exists."""
        sites, skipped = choose(model, self.spec)
        before = {id(p) for p in model.parameters()}
        self._origin = {}
        for site in sites:
            module: Any = model.get_submodule(site.name)
            weight_quant = self.weight_quantizer(module.weight, site).to(module.weight.device)
            act_quant = self.act_quantizer(site) if site.act_bits is not None else None
            module.__class__ = _site_class(type(module))
            module.weight_quant = weight_quant.train(module.training)
            module.act_quant = None if act_quant is None else act_quant.to(example.device).train(module.training)
        new = tuple(name for name, p in model.named_parameters() if id(p) not in before)
        self.plan = Plan(tuple(sites), tuple(skipped), new)
        self.calibrate(model, [example])
        return self.plan

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Run the batches through in calibration mode; remembers where weights and step sizes start."""
        with calibrating(model):
            for batch in batches:
                model(batch)
        self._origin = {name: p.detach().clone() for name, p in self._watched(model)}

    def _watched(self, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
        for name, site in sites_of(model):
            yield f"{name}.weight", site._parameters["weight"]
        for name in self.plan.parameters:
            yield name, model.get_parameter(name)

    def audit(self, model: nn.Module) -> Audit:
        """Levels, noise, saturation and movement of each site, read from the model itself."""
        return Audit(self.name, {name: self._audit_site(name, site) for name, site in sites_of(model)})

    @torch.no_grad()
    def _audit_site(self, name: str, site: Any) -> SiteAudit:
        weight, q = site._parameters["weight"], site.weight_quant.qparams()
        exported = self._weight(site, name)
        w_q, codes = exported.dequantize(), exported.codes
        low, high = (q.qmin, q.qmax) if q.levels is None else (0, len(q.levels) - 1)
        start = self._origin[f"{name}.weight"]
        learned = [n for n in self.plan.parameters if n.startswith(name + ".")]
        now = [(site.get_parameter(n[len(name) + 1 :]), self._origin[n]) for n in learned]
        return SiteAudit(
            levels_used=len(codes.unique()),
            noise_to_signal=float((w_q - weight).std() / weight.std().clamp_min(1e-12)),
            saturation=float(((codes <= low) | (codes >= high)).float().mean()),
            weight_moved=float((weight - start).norm() / start.norm().clamp_min(1e-12)),
            steps_moved=max((float(((s - s0).abs() / s0.abs().clamp_min(1e-12)).max()) for s, s0 in now), default=None),
            step_gradient=max((float(s.grad.abs().max()) for s, _ in now if s.grad is not None), default=None),
        )

    def _weight(self, site: Any, name: str) -> QTensor:
        bits = next(s.weight_bits for s in self.plan.sites if s.name == name)
        training, site.weight_quant.training = site.weight_quant.training, False
        try:
            return to_qtensor(site.weight_quant(site._parameters["weight"]), site.weight_quant.qparams(), bits)
        finally:
            site.weight_quant.training = training

    @torch.no_grad()
    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Codes recovered from each site's own fake quantizer, with the input's grid where there is one."""
        out = {}
        for spec in self.plan.sites:
            site: Any = model.get_submodule(spec.name)
            act = None
            if site.act_quant is not None and spec.act_bits is not None:
                q = site.act_quant.qparams()
                act = ActQuant(float(q.scale), int(q.zero_point), q.qmin, q.qmax, spec.act_bits)
            out[spec.name] = SiteExport(self._weight(site, spec.name), act)
        return out
