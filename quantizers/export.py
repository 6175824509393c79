"""What a quantizer hands out for storing and deploying: weights as integers, and the grids of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .names import WEIGHT, module_name, weight_key


def against(values: Tensor, shape: Sequence[int], *, axis: int | None, group_size: int | None = None) -> Tensor:
    """Return scales or zero points in a shape that broadcasts against a weight.

    Args:
        values: ``()``; with an axis ``(channels,)``; with groups ``(channels, groups)``.
        shape: of the weight.
        axis: the channel dimension, or None for one value.
        group_size: input channels that share a value, or None.
    """
    if group_size is not None:
        return values.repeat_interleave(group_size, 1).reshape(*shape[:2], *[1] * (len(shape) - 2))
    spread = [1] * len(shape)
    if axis is not None:
        spread[axis] = -1
    return values.reshape(spread)


@dataclass(frozen=True)
class QTensor:
    """A quantized tensor holds a weight as integers.

    Attributes:
        codes: integer tensor of the weight's shape. Uniform grids: signed or unsigned codes;
            with ``levels``: indices into the code book.
        scale: distance of two neighbouring codes, float32, positive; shape ``(channels,)`` with an ``axis``,
            ``(channels, groups)`` with a ``group_size``, else ``()``.
        zero_point: of the scale's shape; whole, or halfway between two codes on a grid without a zero.
        bits: storage width, 2 to 8; at most ``2**bits`` distinct codes.
        axis: the channel dimension, or None for one scale.
        levels: code book of a non-uniform grid, float32, at most ``2**bits`` entries.
        group_size: so many neighbouring input channels (dimension 1) share a scale, ``axis`` being 0; None for no groups.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor
    bits: int
    _: KW_ONLY
    axis: int | None = None
    levels: Tensor | None = None
    group_size: int | None = None

    def _against(self, values: Tensor) -> Tensor:
        return against(values, self.codes.shape, axis=self.axis, group_size=self.group_size)

    def dequantize(self) -> Tensor:
        """Compute the float32 weight: ``(codes - zero_point) * scale`` or ``levels[codes] * scale``."""
        if self.levels is not None:
            return self.levels[self.codes.long()] * self._against(self.scale)
        shifted = self.codes.to(torch.float32) - self._against(self.zero_point.to(torch.float32))
        return shifted * self._against(self.scale)


@dataclass(frozen=True)
class ActQuant:
    """A layer's input quantizer computes ``(clamp(round(x / scale) + zero_point, qmin, qmax) - zero_point) * scale``.

    A zero point that is not whole, as a learned offset has, shifts the grid against 0; its fraction is added before
    rounding. No integer runtime has such a grid.

    Attributes:
        scale: distance of two neighbouring codes, positive.
        zero_point: the code of the value 0.
        qmin: the lowest code.
        qmax: the highest code.
        bits: storage width, 2 to 8.
    """

    scale: float
    zero_point: float
    qmin: int
    qmax: int
    _: KW_ONLY
    bits: int

    @property
    def last_bits(self) -> float:
        """What float32 arithmetic may add to ``x / scale``, in codes: 2^-18 of the grid's width, 64 units in the last place."""
        return 2.0**-18 * max(abs(self.qmin - self.zero_point), abs(self.qmax - self.zero_point))

    def quantize(self, x: Tensor, nudge: float | Tensor = 0.0) -> Tensor:
        """Round a tensor to the grid, in its own type; the gradient is 0 almost everywhere.

        Args:
            x: of any shape.
            nudge: added before rounding, in codes: what the last bits of ``x`` may decide shows by a tiny one.
        """
        scale = torch.as_tensor(self.scale, dtype=x.dtype, device=x.device)  # a Python number is inverted on a GPU
        whole = round(self.zero_point)
        codes = torch.round(x / scale + (self.zero_point - whole + nudge)) + whole
        return (torch.clamp(codes, self.qmin, self.qmax) - self.zero_point) * scale


@dataclass(frozen=True)
class SiteExport:
    """A site export is one quantized layer, ready to be stored or deployed.

    Attributes:
        weight: the integers of the weight.
        act: the quantizer of the layer's input, or None for float input.
        parameter: name of the weight within its module.
    """

    weight: QTensor
    act: ActQuant | None = None
    _: KW_ONLY
    parameter: str = WEIGHT

    def key(self, name: str) -> str:
        """Return the state-dict name of the weight, ``name`` being the site's."""
        return weight_key(name, self.parameter)

    def module(self, name: str) -> str:
        """Return the name of the module that holds the weight, ``name`` being the site's."""
        return module_name(name, self.parameter)


@dataclass(frozen=True)
class OutputExport:
    """An output export is the grid that a module's output is rounded to, ready to be stored or deployed.

    Attributes:
        act: the grid.
        readers: the quantized layers that read the output; the grid of their input is this one.
    """

    act: ActQuant
    readers: tuple[str, ...] = ()
