"""Weights as int8 codes with float64 scales, the form every integer runtime takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...core.errors import QuantizerError
from ...quantizers.export import ActQuant, QTensor, SiteExport

LOW, HIGH = -128, 127
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Codes:
    """This is a weight ``(values - zero) * scale`` with one scale and zero for each index of dimension 0, or its groups.

    Attributes:
        values: codes of the weight, -128 to 127; int16, so that negating -128 is exact.
        zero: code of 0, -128 to 127; int16, shape (channels,) or (channels, groups of input channels).
        scale: float64, of zero's shape, >= 0.
        bias: float64, shape (channels,), or None.
    """

    values: Tensor
    zero: Tensor
    scale: Tensor
    bias: Tensor | None

    @property
    def rows(self) -> Tensor:
        """The values as (channels, ...), or (channels * groups, ...): all that share a scale in one row."""
        if self.scale.dim() == 1:
            return self.values
        return self.values.reshape(self.scale.numel(), -1, *self.values.shape[2:])


def integer_reason(site: SiteExport) -> str:
    """Say why no integer runtime can run this layer's weight or input, or return an empty string."""
    q = site.weight
    if q.levels is not None:
        return f"a code book of {len(q.levels)} levels on a non-uniform grid has no integer arithmetic"
    if q.axis not in (None, 0):
        return f"scales must lie along dimension 0, these lie along {q.axis}"
    shift = _shift(q)
    codes, zero = (q.codes.to(torch.int32) - shift), q.zero_point.double() - shift
    if int(codes.min()) < LOW or int(codes.max()) > HIGH:
        return f"codes must span at most 256 values, these run from {int(q.codes.min())} to {int(q.codes.max())}"
    if not torch.equal(zero, zero.round()) or float(zero.min()) < LOW or float(zero.max()) > HIGH:
        return "zero points must be whole numbers in the range of the codes"
    return "" if site.act is None else grid_reason(site.act)


def grid_reason(act: ActQuant) -> str:
    """Say why no integer runtime has this grid of an input or output, or return an empty string."""
    if not float(act.zero_point).is_integer() or not act.qmin <= act.zero_point <= act.qmax:
        return (
            f"an input's zero point must be a whole number from {act.qmin} to {act.qmax} for integer arithmetic, "
            f"this one is {act.zero_point:.7g}"
        )
    shift = 128 if act.qmin < 0 else 0
    if act.qmin + shift < 0 or act.qmax + shift > 255:
        return f"input codes must fit in 8 bits, these run from {act.qmin} to {act.qmax}"
    return ""


def _shift(q: QTensor) -> int:
    return 128 if int(q.codes.max()) > HIGH else 0


def to_codes(name: str, q: QTensor, bias: Tensor | None) -> Codes:
    """Return the int8 form of a weight; QuantizerError where `integer_reason` has a reason."""
    reason = integer_reason(SiteExport(q))
    if reason:
        raise QuantizerError(f"{name} cannot run in integer arithmetic: {reason}")
    shift = _shift(q)
    shape = q.scale.shape if q.group_size is not None else q.codes.shape[:1]
    return Codes(
        (q.codes.to(torch.int16) - shift),
        (q.zero_point.to(torch.int16) - shift).expand(shape),
        q.scale.double().expand(shape),
        None if bias is None else bias.detach().double(),
    )


def _spread(channels: Tensor, like: Tensor) -> Tensor:
    return channels.reshape(-1, *[1] * (like.dim() - 1))


def fold(codes: Codes, factor: Tensor, shift: Tensor) -> tuple[Codes, int]:
    r"""Return the layer followed by ``y * factor + shift`` as one layer, its codes exact.

        scale' = scale |factor|,  values' = sign(factor) values,  zero' = sign(factor) zero,
        bias' = bias factor + shift

    Args:
        codes: of the layer.
        factor: what the output is multiplied by; float64, shape (channels,).
        shift: what is added after that; float64, shape (channels,).

    Returns:
        the folded codes and the number of channels that could not be folded, since the negative of -128 does not fit
        in int8; where it is not 0 the codes are the given ones.
    """
    sign = torch.where(factor < 0, -1, 1).to(torch.int16)
    zero = codes.zero * _spread(sign, codes.zero)
    values = codes.values * _spread(sign, codes.values)
    overflow = (values.flatten(1).amax(1) > HIGH) | (zero.reshape(len(zero), -1).amax(1) > HIGH)
    if bool(overflow.any()):
        return codes, int(overflow.sum())
    scale = codes.scale * _spread(factor.abs(), codes.scale)
    dead = scale < TINY  # a runtime needs a positive scale; the channel is 0 whatever its codes
    rows = replace(codes, values=values).rows
    values = torch.where(_spread(dead.flatten(), rows), _spread(zero.flatten(), rows), rows).reshape(values.shape)
    bias = shift if codes.bias is None else codes.bias * factor + shift
    return Codes(values, zero, torch.where(dead, 1.0, scale), bias), 0
