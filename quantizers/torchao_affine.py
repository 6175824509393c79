r"""torchao, AffineFakeQuantize: observed ranges, of weights and inputs, by the library's affine primitives.

    s = 2 max(|min|, |max|) / (qmax - qmin),  z = 0                     symmetric
    s = (max - min) / (qmax - qmin),  z = qmin - round(min / s)          affine, 0 always inside
    x_q = s (clip(round(x (1 / s)) + z, qmin, qmax) - z)

min and max are over all training so far, as the module's own default observer has them (``observer=min_max``: a range
never shrinks), or move by 1 % of each batch (``moving_average``). The library rounds before it clips and takes clamp's
gradient, so that from torch 2.13 on a value on an outer code gets none.

Ours: the observer's minimum and maximum, plain attributes in the library, are buffers, since a checkpoint must have
them; and the block of an input is its own shape, while the library keeps the shape of the last observed batch.

Reference: torchao 0.18, torchao.quantization.pt2e.fake_quantize.AffineFakeQuantize, https://github.com/pytorch/ao.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor

from .fake_quant import FakeQuant, QParams, flatten_scale
from .library import LibraryQuantizer
from .packages import TORCHAO
from .spec import IntegerRange, QuantSpec, SiteSpec, check_choice, integer_range
from .torchao_intx import DEAD, torchao

ObserverKind = Literal["min_max", "moving_average"]
_OBSERVERS = {
    "min_max": "AffineQuantizedMinMaxObserver",
    "moving_average": "AffineQuantizedMovingAverageMinMaxObserver",
}
_RANGE = ("min_val", "max_val")


class TorchaoAffineQuant(FakeQuant):
    """This wraps an AffineFakeQuantize whose observer runs only where ranges may move.

    Args:
        observer: the kind of range.
        codes: of the grid; unsigned ones are stored as uint8.
        per_channel: one range for each slice of dimension 0.
        symmetric: the zero point is 0.
    """

    def __init__(self, observer: ObserverKind, codes: IntegerRange, per_channel: bool, symmetric: bool) -> None:
        super().__init__()
        quantization = torchao("quantization")
        kinds = quantization.MappingType
        self.per_channel, self.codes = per_channel, codes
        self.fake: Any = torchao("quantization.pt2e.fake_quantize").AffineFakeQuantize(
            observer=getattr(torchao("quantization.pt2e._affine_quantization"), _OBSERVERS[observer]),
            mapping_type=kinds.SYMMETRIC if symmetric else kinds.ASYMMETRIC,
            target_dtype=torch.int8 if codes.qmin < 0 else torch.uint8,
            granularity=quantization.PerAxis(0) if per_channel else quantization.PerTensor(),
            quant_min=codes.qmin,
            quant_max=codes.qmax,
        )
        self.fake.disable_observer()
        self._restart = True

    def restart(self) -> None:
        """Let the next observed batch set the range."""
        self._restart = True

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; in training and in calibration x is observed first."""
        if not self.observing:
            self.fake.block_size = (1, *x.shape[1:]) if self.per_channel else tuple(x.shape)
            return cast(Tensor, self.fake(x))
        observer = self.fake.activation_post_process
        if self._restart:
            for name in _RANGE:
                observer._buffers.pop(name, None)
            self._restart = False
        self.fake.enable_observer()
        try:
            return cast(Tensor, self.fake(x))
        finally:
            self.fake.disable_observer()
            for name in _RANGE:
                if name in vars(observer):
                    observer.register_buffer(name, vars(observer).pop(name))

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid of the last observation."""
        scale, zero = self.fake.scale.detach(), self.fake.zero_point.detach()
        return QParams(
            scale=flatten_scale(scale, self.per_channel),
            zero_point=flatten_scale(zero, self.per_channel),
            qmin=self.codes.qmin,
            qmax=self.codes.qmax,
            axis=0 if self.per_channel else None,
        )


class TorchaoAffine(LibraryQuantizer):
    """torchao's affine fake quantizer keeps ranges of weights and, where the spec asks for it, of layer inputs.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`; without effect, since nothing is learned.
        seed: as for `Quantizer`; without effect, since nothing is drawn.
        averaged: after weight averaging the ranges are stale: ``recalibrate`` observes them anew, ``keep`` does not.
        observer: ``min_max`` for the range over all steps, ``moving_average`` for one that moves by 1 % a batch.
    """

    name = "torchao_affine"
    family = "uniform"
    reference = "torchao 0.18, AffineFakeQuantize"
    meaning = "rounding within observed ranges, as torchao implements it"
    requires = TORCHAO
    dead_weights = DEAD
    affine = True
    averages = ("recalibrate", "keep")

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        observer: ObserverKind = "min_max",
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged)
        check_choice("observer", observer, ObserverKind)
        self.observer: ObserverKind = observer

    @torch.no_grad()
    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor."""
        quant = TorchaoAffineQuant(self.observer, integer_range(site.weight_bits), site.per_channel, site.symmetric)
        quant.to(weight.device).train()(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use unsigned affine codes and one range for the tensor."""
        assert site.act_bits is not None
        return TorchaoAffineQuant(
            self.observer, integer_range(site.act_bits, signed=False), per_channel=False, symmetric=False
        )
