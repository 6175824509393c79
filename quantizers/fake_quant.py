"""Fake quantization: modules that round a tensor onto a grid of few values, and the grid as numbers.

A method writes a subclass of `FakeQuant`; `quantdg.quantizers.sites.SiteQuantizer` puts one at each weight and, where
the spec asks for it, at each layer input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..core.errors import QuantizerError
from .export import ActQuant, QTensor, against
from .spec import IntegerRange

SMALLEST_SCALE = 1e-8
"""What scales and clips are kept above, so that a channel of zeros has a grid too."""


def scale_shape(weight: Tensor, per_channel: bool) -> tuple[int, ...]:
    """Return the shape of a scale that broadcasts against ``weight``: (channels, 1, ...), or () for one scale."""
    return (weight.shape[0], *[1] * (weight.dim() - 1)) if per_channel else ()


def shared_dims(x: Tensor, per_channel: bool) -> tuple[int, ...]:
    """Return the dimensions of ``x`` that share a scale: all of them, or all but the channels (dimension 0)."""
    return tuple(range(1 if per_channel else 0, x.dim()))


def flatten_scale(scale: Tensor, per_channel: bool) -> Tensor:
    """Reshape a scale that broadcasts against its tensor to what `QParams` holds: (channels,), or () for one scale."""
    return scale.reshape(-1 if per_channel else ())


def largest(x: Tensor, per_channel: bool) -> Tensor:
    """Compute the largest |x|, shape (channels, 1, ...) or (); at least `SMALLEST_SCALE`."""
    return x.detach().abs().amax(shared_dims(x, per_channel), keepdim=per_channel).clamp_min(SMALLEST_SCALE)


def midpoints(levels: Tensor) -> Tensor:
    """Return the edges between rising levels at which a value is as near to one as to the other."""
    return (levels[1:] + levels[:-1]) / 2


class QParams(NamedTuple):
    """This holds the grid of a fake quantizer as numbers.

    Attributes:
        scale: distance of two neighbouring codes, positive; shape ``(channels,)`` with an ``axis``, ``(channels, groups)``
            with a ``group_size``, else ``()``.
        zero_point: the code of the value 0, of the scale's shape.
        qmin: the lowest code.
        qmax: the highest code.
        axis: the channel dimension, or None for one scale.
        levels: code book of a non-uniform grid in units of the scale, rising; None for a uniform grid.
        group_size: so many input channels share a scale, as in `QTensor`; `quantdg.quantizers.groups` sets it.
    """

    scale: Tensor
    zero_point: Tensor
    qmin: int
    qmax: int
    axis: int | None = None
    levels: Tensor | None = None
    group_size: int | None = None

    def against(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and zero point in shapes that broadcast against ``x``."""
        axis, size = self.axis, self.group_size
        scale = against(self.scale, x.shape, axis=axis, group_size=size)
        return scale, against(self.zero_point, x.shape, axis=axis, group_size=size)

    def qtensor(self, codes: Tensor, bits: int) -> QTensor:
        """Return codes (int16) on this grid as a `QTensor`."""
        place = {"axis": self.axis, "group_size": self.group_size}
        return QTensor(codes, self.scale, self.zero_point, bits, levels=self.levels, **place)

    @classmethod
    def symmetric(cls, scale: Tensor, codes: IntegerRange) -> QParams:
        """Make a uniform grid with zero point 0 from a scale of shape (channels, 1, ...) or ()."""
        per_channel = scale.dim() > 0
        flat = flatten_scale(scale.detach(), per_channel)
        return cls(flat, torch.zeros_like(flat), codes.qmin, codes.qmax, axis=0 if per_channel else None)

    @classmethod
    def of_levels(cls, scale: Tensor, levels: Tensor) -> QParams:
        """Make a grid from a code book and a scale of shape (channels, 1, ...) or ()."""
        codes = IntegerRange(0, len(levels) - 1)
        return cls.symmetric(scale, codes)._replace(levels=levels)


class FakeQuant(nn.Module):
    """A fake quantizer maps a float tensor to its quantized value *on the same scale* (BatchNorm may be frozen).

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
        """Say whether a method that tracks ranges may move them in this forward."""
        return self.calibrating or (self.training and not self.held)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor, of x's shape and dtype."""
        raise NotImplementedError

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid that an eval forward uses, detached; ``x`` is the weight, for grids computed from it."""
        raise NotImplementedError

    def project(self) -> None:
        """Put parameters that have a range back into it, as a scale that must stay positive; called after each step."""

    def advance(self, weight: Tensor, step: int) -> None:
        """Move a schedule of a weight's fake quantizer; called after each optimizer step, 1 being the first.

        Args:
            weight: the latent weight; it may be changed in place.
            step: optimizer steps done since prepare.
        """

    def unfit(self, x: Tensor) -> float | None:
        """Return the share of the grids of weight ``x`` for which the method's own rule fails, 0 to 1; None without a rule."""
        return None

    def own(self, x: Tensor) -> dict[str, float]:
        """Return what the audit of weight ``x`` says of this method alone: finite numbers by name."""
        return {}

    def restart(self) -> None:
        """Forget the ranges seen so far; this is called when a calibration starts."""


def fake_quants(model: nn.Module) -> list[FakeQuant]:
    """Return all fake quantizers of a model in module order."""
    return [m for m in model.modules() if isinstance(m, FakeQuant)]


def in_float32(quant: nn.Module, x: Tensor) -> Tensor:
    """Call a fake quantizer outside autocast, on a float32 copy where autocast made ``x`` a narrower one.

    Codes of 8 bits and the small differences that a scale's gradient sums up need more than the 8 bits of a bf16 mantissa.
    """
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return cast(Tensor, quant(x))
    with torch.autocast(device, enabled=False):
        return cast(Tensor, quant(x.float()))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode within the context; training flags are restored after it."""
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for m, training in modes.items():
            m.training = training


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Make eval forwards without gradients set the ranges within the context; training flags are restored after it."""
    quants = fake_quants(model)
    for q in quants:
        q.restart()
        q.calibrating = True
    try:
        with evaluating(model), torch.no_grad():
            yield
    finally:
        for q in quants:
            q.calibrating = False


@contextmanager
def frozen_ranges(model: nn.Module) -> Iterator[None]:
    """Keep every range still within the context, in training mode too: for a second pass on a batch, as in SAM."""
    quants = fake_quants(model)
    for q in quants:
        q.held = True
    try:
        yield
    finally:
        for q in quants:
            q.held = False


def to_qtensor(value: Tensor, q: QParams, bits: int) -> QTensor:
    """Recover the integer codes from a fake-quantized tensor; this is exact for values that lie on the grid."""
    q = q._replace(scale=q.scale.detach().float(), zero_point=q.zero_point.detach().float())
    scale, zero = q.against(value)
    units = value.detach() / scale
    codes = torch.round(units + zero) if q.levels is None else torch.bucketize(units, midpoints(q.levels))
    return q.qtensor(codes.to(torch.int16), bits)


@torch.no_grad()
def codes_of(quant: FakeQuant, weight: Tensor, bits: int) -> QTensor:
    """Return the integers of a weight as an evaluation has them, whatever mode its fake quantizer is in."""
    training = quant.training
    quant.eval()
    try:
        return to_qtensor(quant(weight), quant.qparams(weight), bits)
    finally:
        quant.train(training)


def to_act_quant(name: str, q: QParams, bits: int) -> ActQuant:
    """The grid as numbers; QuantizerError where it is none that an export can hold."""
    if q.levels is not None or q.scale.numel() != 1 or q.zero_point.numel() != 1:
        kind = f"{len(q.levels)} levels" if q.levels is not None else f"{q.scale.numel()} scales"
        raise QuantizerError(
            f"an input's grid must be uniform with one scale and one zero point, that of {name!r} has {kind}; "
            "return such a grid from qparams or leave its inputs in float with act_bits=null"
        )
    zero = float(q.zero_point)
    return ActQuant(float(q.scale), int(zero) if zero.is_integer() else zero, q.qmin, q.qmax, bits=bits)
