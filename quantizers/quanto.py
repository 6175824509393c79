r"""optimum-quanto: 8-bit weights and inputs, symmetric, with the gradient passed everywhere.

    s = max|w| / 127 per channel, of the weight of the moment;   w_q = s clip(round(w / s), -128, 127);   dw_q/dw = 1
    inputs: s <- 0.9 s + 0.1 max|x| / 127 over calibration batches, the first sets it; it stands still in training

Its 2- and 4-bit weights are refused: they have groups of up to 128 values and an offset that is no whole code, so that no
integer export holds them; other widths and scales of a whole tensor it does not have. ``dequantize`` of its tensors is
outside autograd; here its result has the gradient that the library gives the quantized tensor, the incoming one. The
library multiplies a Linear layer's input by the integers and then by the scale, which differs from ours in the last bits.

Reference: optimum-quanto 0.2.7, https://github.com/huggingface/optimum-quanto (qint8, AbsmaxOptimizer, Calibration).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, flatten_scale
from .library import LibraryQuantizer, imported
from .packages import QUANTO
from .spec import SiteSpec, integer_range

WIDTH = 8
CODES = integer_range(WIDTH)


def quanto(module: str = "") -> Any:
    """Return quanto or a module below it. MissingPackageError with the pip line where it is not installed."""
    return imported(f"optimum.quanto.{module}".rstrip("."), QUANTO["optimum.quanto"])


class _Dequantize(torch.autograd.Function):
    """This is the value of a quanto tensor, with the gradient of what was quantized."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, quantized: Any) -> Tensor:
        return cast(Tensor, quantized.dequantize())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def _positive(scale: Tensor) -> Tensor:
    """The library's scale, but above 0 where all values are 0: it would divide by it."""
    return torch.where(scale == 0, SMALLEST_SCALE, scale)


class QuantoWeightQuant(FakeQuant):
    """This has quanto quantize a weight with the scale of the moment; there is no state."""

    def __init__(self) -> None:
        super().__init__()
        quanto()

    def _quantize(self, x: Tensor) -> Any:
        library, x = quanto(), x.detach()
        scale = _positive(library.AbsmaxOptimizer()(x, qtype=library.qint8, axis=0))
        return library.quantize_weight(x, qtype=library.qint8, axis=0, scale=scale, optimized=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the dequantized weight."""
        return cast(Tensor, _Dequantize.apply(x, self._quantize(x)))

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid of the weight ``x``."""
        assert x is not None
        scale = flatten_scale(self._quantize(x)._scale.detach(), per_channel=True)
        return QParams.symmetric(scale.reshape(-1, 1), CODES)


class QuantoInputQuant(FakeQuant):
    """This has quanto quantize an input with a scale from calibration."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        quanto()
        self.register_buffer("scale", torch.ones(()))  # quanto's own sign that no batch was seen

    def restart(self) -> None:
        """Let the next calibration batch set the scale."""
        self.scale.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the dequantized input; calibration moves the scale first."""
        calibrate = quanto("calibrate")
        if self.calibrating:
            seen = _positive(calibrate.absmax_scale(x.detach(), quanto().qint8))
            self.scale.copy_(calibrate._updated_scale(self.scale, seen, 0.9))
        quantized = quanto().quantize_activation(x.detach(), qtype=quanto().qint8, scale=self.scale)
        return cast(Tensor, _Dequantize.apply(x, quantized))

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid of the last calibration."""
        return QParams.symmetric(self.scale.detach().clone(), CODES)


class Quanto(LibraryQuantizer):
    """quanto's qint8 runs on weights and, where the spec asks for it, on layer inputs; nothing is learned.

    After weight averaging input scales are stale: ``averaged="recalibrate"`` sets them anew, ``"keep"`` does not.
    """

    name = "quanto"
    family = "uniform"
    reference = "optimum-quanto 0.2.7, qint8"
    meaning = "rounding within the weight's range of the moment, as optimum-quanto implements it"
    requires = QUANTO
    beyond = "passed"
    averages = ("recalibrate", "keep")

    def refuses(self, site: SiteSpec) -> str:
        """Refuse what is not qint8, per channel and symmetric."""
        for what, bits in (("weight_bits", site.weight_bits), ("act_bits", site.act_bits)):
            if bits not in (WIDTH, None):
                return f"of quanto only 8-bit codes have a whole zero point, got {what}={bits}; write {what}=8"
        if site.granularity == "per_tensor":
            return "quanto has no scale of a whole weight; write granularity=per_channel"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use qint8 and its AbsmaxOptimizer."""
        return QuantoWeightQuant()

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use qint8 with one scale for the tensor."""
        return QuantoInputQuant()
