r"""Brevitas: three of its weight quantizers, with codes -(2^(b-1) - 1) .. 2^(b-1) - 1 and zero point 0.

    absmax:     s = max|w| / Qp,  Qp = 2^(b-1) - 1;   w_q = s round(w / s)
                the gradient goes through s, so that the largest weight of a channel gets more than 1 or less
    learned:    s = |t| / Qp with a learned threshold t from max|w| on;   w_q = s clip(round(w / s), -Qp, Qp)
                dw = 1 for codes within -Qp .. Qp, else 0;   dt is the sum over the channel, without LSQ's gradient factor
    decoupled:  w_q = s clip(round(w / p), -Qp, Qp), p = max|w| / Qp with its gradient, s = |t| / Qp learned from p on:
                what is rounded and what it is worth are two scales; per tensor Qp p is the root mean square of the
                channels' maxima

The library's layers make them (``weight_quant=Int8WeightPerChannelFloat`` and so on); only ``tensor_quant`` is kept and
called on a weight as a matrix, which changes no number. The threshold, absent from a state dict before the library's first
call, is made at once. Clips are written with ``where`` and do not depend on torch.clamp. Inputs are left in float: Brevitas
collects their statistics over 300 training steps and only then makes a parameter. A channel of zeros has no decoupled grid
(0 / 0 in the library).

Reference: Brevitas 0.13, https://github.com/Xilinx/brevitas: ``Int8WeightPerChannelFloat``, the same with
``ScalingImplType.PARAMETER_FROM_STATS``, ``Int8WeightPerChannelFloatDecoupled``, and their per-tensor forms.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from .base import Beyond, Family
from .fake_quant import FakeQuant, QParams, flatten_scale
from .library import LibraryQuantizer, imported
from .packages import BREVITAS
from .spec import SiteSpec, integer_range


def brevitas(module: str) -> Any:
    """Return a module of Brevitas, named below it. MissingPackageError with the pip line where it is not installed."""
    return imported(f"brevitas.{module}", BREVITAS["brevitas"])


class BrevitasQuant(FakeQuant):
    """This wraps the tensor quantizer that a Brevitas layer has for its weight.

    Args:
        kind: the library's quantizer class.
        weight: that it starts from; all state exists afterwards.
        site: its bits and granularity.
    """

    def __init__(self, kind: Any, weight: Tensor, site: SiteSpec) -> None:
        super().__init__()
        self.codes, self.per_channel = integer_range(site.weight_bits, narrow=True), site.per_channel
        matrix = weight.detach().flatten(1)
        with torch.random.fork_rng(devices=[]):  # the layer draws a weight
            layer = brevitas("nn").QuantLinear(
                matrix.shape[1], matrix.shape[0], bias=False, weight_quant=kind, weight_bit_width=site.weight_bits
            )
        layer.weight.data = matrix.clone()
        self.tensor_quant = layer.weight_quant.tensor_quant.to(weight.device)
        self(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Fake-quantize x as Brevitas does."""
        return cast(Tensor, self.tensor_quant(x.flatten(1))[0]).view_as(x)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid for the weight ``x``."""
        assert x is not None
        with torch.no_grad():
            scale = self.tensor_quant(x.flatten(1))[1]
        return QParams.symmetric(flatten_scale(scale, self.per_channel), self.codes)


class BrevitasAbsMax(LibraryQuantizer):
    """Brevitas' default weight quantizer, whose gradient goes through the largest weight."""

    name = "brevitas_absmax"
    family: ClassVar[Family] = "uniform"
    reference = "Brevitas 0.13, Int8WeightPerChannelFloat"
    meaning = "rounding within the weight's range, with a gradient through the range, as Brevitas implements it"
    requires = BREVITAS
    beyond: Beyond = "passed"
    kinds: ClassVar[tuple[str, str]] = ("Int8WeightPerChannelFloat", "Int8WeightPerTensorFloat")
    learned: ClassVar[bool] = False

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use the class for this granularity, with a threshold from statistics where it is learned."""
        kind = getattr(brevitas("quant"), self.kinds[0 if site.per_channel else 1])
        if self.learned:
            start = brevitas("inject.enum").ScalingImplType.PARAMETER_FROM_STATS
            kind = type(f"Learned{kind.__name__}", (kind,), {"scaling_impl_type": start})
        return BrevitasQuant(kind, weight, site)


class BrevitasLearned(BrevitasAbsMax):
    """Brevitas with a learned threshold for each channel, from the largest weight on."""

    name = "brevitas_learned"
    family = "learned"
    reference = "Brevitas 0.13, Int8WeightPerChannelFloat with PARAMETER_FROM_STATS"
    meaning = "rounding below a learned threshold, as Brevitas implements it"
    beyond = "stopped"
    learned = True


class BrevitasDecoupled(BrevitasAbsMax):
    """Brevitas with two scales, of which the one that codes are multiplied by is learned."""

    name = "brevitas_decoupled"
    family = "learned"
    reference = "Brevitas 0.13, Int8WeightPerChannelFloatDecoupled"
    meaning = "rounding by the weight's range and multiplying by a learned scale, as Brevitas implements it"
    kinds = ("Int8WeightPerChannelFloatDecoupled", "Int4WeightPerTensorFloatDecoupled")
