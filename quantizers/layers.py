"""Quantizing layers in place: a class swap that keeps Parameters, state-dict keys and attributes.

`conv.__class__` becomes a subclass of its own class, and the fake quantizers become the child modules
``weight_quant`` and ``act_quant``. Of the insertion styles in use (module replacement, parametrization,
graph rewriting) this one alone keeps Parameter identity, float keys and an overridden ``train()`` at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import QuantizerError
from .base import QTensor, Skipped
from .spec import QuantSpec, SiteSpec

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

    Ranges move only while ``observing``; an eval forward outside calibration changes nothing. All state is
    Parameters and buffers, and after ``prepare`` neither their number nor their shapes change.

    Attributes:
        calibrating: set by `calibrating`: this forward is there to set ranges.
        held: set by `frozen_ranges`: even a training forward leaves the ranges alone.
    """

    calibrating: bool = False
    held: bool = False

    @property
    def observing(self) -> bool:
        """Whether a method that tracks ranges may move them in this forward."""
        return self.calibrating or (self.training and not self.held)

    def forward(self, x: Tensor) -> Tensor:
        """The fake-quantized tensor, of x's shape and dtype."""
        raise NotImplementedError

    def qparams(self, x: Tensor | None = None) -> QParams:
        """The grid that an eval forward uses, detached; ``x`` is the weight, for grids computed from it."""
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


def quantized_class(layer: type[nn.Module]) -> type[nn.Module]:
    """The class that a layer of class ``layer`` gets when it becomes a site; made once."""
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
    quants = fake_quants(model)
    for q in quants:
        q.held = True
    try:
        yield
    finally:
        for q in quants:
            q.held = False


def to_qtensor(value: Tensor, q: QParams, bits: int) -> QTensor:
    """Recover the integer codes from a fake-quantized tensor; exact for values that lie on the grid."""
    shape = [1] * value.dim()
    if q.axis is not None:
        shape[q.axis] = -1
    scale, zero = q.scale.detach().float(), q.zero_point.detach().float()
    units = value.detach() / scale.reshape(shape)
    if q.levels is None:
        codes = torch.round(units + zero.reshape(shape))
        return QTensor(codes.to(torch.int16), scale, zero, bits, q.axis)
    edges = (q.levels[1:] + q.levels[:-1]) / 2
    return QTensor(torch.bucketize(units, edges).to(torch.int16), scale, zero, bits, q.axis, q.levels)
