r"""torchao, IntxFakeQuantizer: the range of the weight of the moment, or a learned scale.

    s = 2 max|w| / (2^b - 1) = max|w| / 7.5 at 4 bit, per channel, without gradient
    w_q = s clip(round(w (1 / s)), -2^(b-1), 2^(b-1) - 1)

All 2^b codes are used and a weight at +max|w| is clipped. ``range_learning`` makes s a parameter that starts there:
ds = w_q / s - w / s inside, the outer code outside, without LSQ's gradient factor. The library rounds before it clips
and takes clamp's gradient, so that from torch 2.13 on a weight on an outer code stands still (at most 2.12 it trains).

Two things the library has are refused. Its scale of a whole tensor is none (``per_channel`` and ``per_group`` only),
and in its asymmetric scheme the zero point, a float of the weight's size, is cut to a whole number, mostly 0: a weight
that is not centred is clipped, and with a learned range the module fails.

Reference: torchao 0.18, torchao.quantization.qat.IntxFakeQuantizer, https://github.com/pytorch/ao.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from .fake_quant import FakeQuant, QParams, flatten_scale
from .library import LibraryQuantizer, imported
from .packages import TORCHAO
from .spec import QuantSpec, SiteSpec, integer_range

DEAD = (
    "torchao rounds before it clips and leaves the mask to torch.clamp, whose bounds have no gradient since torch 2.13"
)


def torchao(module: str) -> Any:
    """Return a module of torchao, named below it. MissingPackageError with the pip line where it is not installed."""
    return imported(f"torchao.{module}", TORCHAO["torchao"])


class TorchaoIntxQuant(FakeQuant):
    """This wraps an IntxFakeQuantizer for one weight, which it sees as a matrix, the only shape that module takes.

    Args:
        weight: that the scale starts from; all state exists afterwards.
        bits: 2 to 8.
        range_learning: the scale is a parameter.
    """

    def __init__(self, weight: Tensor, bits: int, range_learning: bool) -> None:
        super().__init__()
        qat = torchao("quantization.qat")
        how = {"is_dynamic": False, "range_learning": True} if range_learning else {}
        dtype = getattr(torch, f"int{bits}")
        self.codes = integer_range(bits)
        self.fake = qat.IntxFakeQuantizer(qat.IntxFakeQuantizeConfig(dtype, "per_channel", is_symmetric=True, **how))
        self.fake._initialized = True  # what initialize_fake_quantizers does before a first forward
        self(weight)
        if range_learning:
            self.fake.register_buffer("zero_point", self.fake.__dict__.pop("zero_point"))

    def forward(self, x: Tensor) -> Tensor:
        """Fake-quantize x as torchao does."""
        return cast(Tensor, self.fake(x.flatten(1))).view_as(x)

    def project(self) -> None:
        """Keep a learned scale positive; the module does so at its creation only."""
        if self.fake.config.range_learning:
            self.fake.scale.data.clamp_(min=self.fake._scale_eps)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid; without a learned scale it is computed from the weight ``x``."""
        if x is not None:
            with torch.no_grad():
                self(x)
        return QParams.symmetric(flatten_scale(self.fake.scale, per_channel=True), self.codes)


class TorchaoIntx(LibraryQuantizer):
    """torchao's integer fake quantizer runs on each weight, per channel and symmetric.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`.
        seed: as for `Quantizer`; without effect, since nothing is drawn.
        averaged: only ``average``: a learned scale is averaged, another one is computed from the averaged weight.
        range_learning: learn the scale (a prototype of the library), or compute it from the weight at each forward.
    """

    name = "torchao_intx"
    family = "uniform"
    reference = "torchao 0.18, IntxFakeQuantizer"
    meaning = "rounding within the weight's range of the moment, as torchao implements it"
    requires = TORCHAO
    dead_weights = DEAD

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        range_learning: bool = False,
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged)
        self.range_learning = range_learning

    def refuses(self, site: SiteSpec) -> str:
        """Refuse a scale of the whole tensor, and what every weight quantizer with a fixed zero point refuses."""
        if site.granularity == "per_tensor":
            return "torchao's IntxFakeQuantizer has no scale of a whole tensor; write granularity=per_channel"
        return super().refuses(site)

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use one IntxFakeQuantizer for each weight."""
        return TorchaoIntxQuant(weight, site.weight_bits, self.range_learning)
