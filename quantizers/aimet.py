r"""AIMET: weights and inputs between a learned minimum and a learned maximum.

    s = |max - min| / (qmax - qmin),  o = clip(round(min / s) - qmin, -qmax, -qmin), or 0 in the symmetric scheme
    x_q = s (clip(round(x / s - o), qmin, qmax) + o)

Gradients reach x inside the range, and minimum and maximum through s and o, without LSQ's gradient factor. Both start from
calibration (the weight's own range; in the symmetric scheme -8 s .. 7 s at 4 bit, s = max(max / 7, -min / 8), at 2 bit max|w| / 2) and both are
parameters from the first moment on. Weights use -2^(b-1) .. 2^(b-1) - 1, inputs 0 .. 2^b - 1, affine.

Ours: AIMET's quantizer returns a tensor of a class of its own, which is made a plain one; its settings, which it adds to a
state dict as a dictionary, are left out, since a state dict here holds tensors; its calibration is a context
around all batches, here each calibration batch updates the same statistics and sets the range from all seen so far.

Reference: AIMET 2.42, aimet_torch.quantization.affine.QuantizeDequantize, https://github.com/quic/aimet.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from .fake_quant import FakeQuant, QParams, calibrating, flatten_scale, scale_shape
from .library import LibraryQuantizer, imported
from .packages import AIMET
from .spec import IntegerRange, SiteSpec, integer_range

_SETTINGS = "fake._extra_state"


def _without_settings(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    state.pop(f"{prefix}{_SETTINGS}", None)


def _with_settings(module: Any, state: dict[str, Any], prefix: str, *more: Any) -> None:
    state[f"{prefix}{_SETTINGS}"] = module.fake.get_extra_state()


class AimetQuant(FakeQuant):
    """This wraps a QuantizeDequantize of AIMET.

    Args:
        shape: of the scale, that broadcasts against what is quantized.
        codes: of the grid.
        symmetric: the zero point is 0.
    """

    def __init__(self, shape: tuple[int, ...], codes: IntegerRange, symmetric: bool) -> None:
        super().__init__()
        affine = imported("aimet_torch.quantization.affine", AIMET["aimet_torch"])
        self.codes, self.per_channel = codes, bool(shape)
        self.fake: Any = affine.QuantizeDequantize(shape, codes.qmin, codes.qmax, symmetric)
        hooked: Any = self
        hooked.register_state_dict_post_hook(_without_settings)
        hooked.register_load_state_dict_pre_hook(_with_settings)

    def restart(self) -> None:
        """Forget the statistics."""
        self.fake.encoding_analyzer.reset_stats()

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; calibration sets the range first."""
        if self.calibrating:
            analyzer = self.fake.encoding_analyzer
            analyzer.update_stats(x.detach())
            steps = self.codes.qmax - self.codes.qmin
            self.fake.set_range(*analyzer.compute_encodings(steps, self.fake.symmetric))
        return cast(Tensor, self.fake(x)).as_subclass(Tensor)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the learned grid; AIMET's offset is the negative zero point."""
        encoding = self.fake.get_encodings()
        return QParams(
            scale=flatten_scale(encoding.scale.detach(), self.per_channel),
            zero_point=flatten_scale(0 - encoding.offset.detach(), self.per_channel),
            qmin=self.codes.qmin,
            qmax=self.codes.qmax,
            axis=0 if self.per_channel else None,
        )


class Aimet(LibraryQuantizer):
    """AIMET's quantizer learns the range of weights and, where the spec asks for it, of layer inputs.

    After weight averaging the averaged range stays (``averaged="average"``) or starts anew (``"recalibrate"``).
    """

    name = "aimet"
    family = "learned"
    reference = "AIMET 2.42, QuantizeDequantize"
    meaning = "rounding between a learned minimum and maximum, as AIMET implements it"
    requires = AIMET
    affine = True
    averages = ("average", "recalibrate")

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Use signed codes, symmetric or affine, per channel or tensor."""
        shape = scale_shape(weight, site.per_channel)
        quant = AimetQuant(shape, integer_range(site.weight_bits), site.symmetric).to(weight.device)
        with calibrating(quant):
            quant(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use unsigned affine codes and one range for the tensor."""
        assert site.act_bits is not None
        return AimetQuant((), integer_range(site.act_bits, signed=False), symmetric=False)
