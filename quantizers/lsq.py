r"""LSQ: the scale is trained with the network.

    w_q = s * round(clip(w / s, -Qn, Qp)),   signed: Qn = 2^(b-1), Qp = 2^(b-1) - 1; unsigned: 0, 2^b - 1

Straight-through gradients: inside the clip range dw_q/dw = 1 and dw_q/ds = round(w/s) - w/s;
outside dw_q/dw = 0 and dw_q/ds = -Qn or Qp. The gradient of s is multiplied by 1 / sqrt(N * Qp), N = number of
values that share a scale. Start: s = 2 E|w| / sqrt(Qp), for activations on the calibration batches.

``gradient="tensor"``: N = all values of the weight, whatever shares a scale, as in QT-DoG's released code: a per-channel
gradient smaller by sqrt(channels). Adam takes either factor out, up to its epsilon; SGD does not.
``start="lsq_plus"``: s = max(|mu - 3 sd|, |mu + 3 sd|) / 2^(b-1) of weights, and inputs start with their first batch as
in LSQ. ``offset=true``: inputs x_q = s (clip(round((x - beta) / s), 0, 2^b - 1)) + beta with a learned beta, which starts
at the smallest input: dx_q/dbeta = 0 inside, 1 outside. Both are LSQ+; for weights alone it is LSQ with another start.

The paper calls the scale a step size. Its word stands in the parameter's name, ``step_size``, and nowhere else: the
name is a key of stored state dicts.

Reference: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2; per-channel scales and
7 bits as in Javed et al., "QT-DoG", ICML 2025, appendix B; Bhalgat et al., "LSQ+", CVPR Workshops 2020 (start, offset;
the paper searches the start of inputs by least squares, here it is as above).
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ..core.host import on_host
from .base import LEARNING_RATE
from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, scale_shape, shared_dims
from .sites import SiteQuantizer
from .spec import IntegerRange, QuantSpec, SiteSpec, check_choice, integer_range

Start = Literal["lsq", "lsq_plus"]
GradientFactor = Literal["scale", "tensor"]


class _RoundToScale(torch.autograd.Function):
    """Forward in place on one buffer; backward linear in the incoming gradient, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, codes: IntegerRange, grad_scale: float) -> Tensor:
        v = x / scale
        ctx.all_inside = False
        if (
            on_host(x) and not torch.compiler.is_compiling()
        ):  # saves passes over the weight; on a GPU the answer would cost a synchronization
            low, high = torch.aminmax(v)
            ctx.all_inside = bool((low >= codes.qmin) & (high <= codes.qmax))
        inside = () if ctx.all_inside else ((v >= codes.qmin) & (v <= codes.qmax),)
        out = v.round_().clamp_(*codes).mul_(scale)
        ctx.save_for_backward(x, out, scale, *inside)
        ctx.grad_scale = grad_scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad,) = grads
        x, out, scale, *inside = (t.detach() for t in ctx.saved_tensors)
        grad_x = grad if ctx.all_inside else grad * inside[0]
        error = out - x if ctx.all_inside else out - x * inside[0]  # scale * dw_q/ds, clipped values included
        grad_of_scale = (grad * error).sum_to_size(scale.shape) / scale * ctx.grad_scale
        return grad_x, grad_of_scale, None, None


def initial_scale(x: Tensor, per_channel: bool, qmax: int) -> Tensor:
    """Compute 2 E|x| / sqrt(qmax), the scale LSQ starts from: shape (channels, 1, ...), or () for one scale."""
    mean = x.detach().abs().mean(shared_dims(x, per_channel), keepdim=per_channel)
    return (2 * mean / math.sqrt(qmax)).clamp_min(SMALLEST_SCALE)


def initial_weight_scale(weight: Tensor, site: SiteSpec) -> Tensor:
    """Compute the scale LSQ starts from at this site: shape (channels, 1, ...), or () per tensor."""
    return initial_scale(weight, site.per_channel, integer_range(site.weight_bits).qmax)


def spread_scale(x: Tensor, per_channel: bool, qmax: int) -> Tensor:
    """Compute max(|mu - 3 sd|, |mu + 3 sd|) / (qmax + 1), the scale LSQ+ starts from, with the unbiased sd."""
    dims = shared_dims(x, per_channel)
    mean, sd = x.detach().mean(dims, keepdim=per_channel), x.detach().std(dims, keepdim=per_channel).nan_to_num()
    return ((mean.abs() + 3 * sd) / (qmax + 1)).clamp_min(SMALLEST_SCALE)


class LSQQuant(FakeQuant):
    """This fake quantizer has a learned scale, one per tensor or one per channel along dimension 0.

    Args:
        bits: 2 to 8.
        shape: of the scale: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        signed: True for a weight; None for a layer input, where calibration decides: unsigned
            where no value is negative.
        scale_factor: factor on the start, > 0.
        start: ``lsq`` or ``lsq_plus``, of a weight.
        gradient: ``scale`` or ``tensor``, what N counts.

    Attributes:
        step_size: the learned scale, of shape ``shape``, positive.
        codes: the range of the codes, Qn to Qp in the equations above.
    """

    def __init__(
        self,
        bits: int,
        shape: tuple[int, ...] = (),
        signed: bool | None = True,
        scale_factor: float = 1.0,
        *,
        start: Start = "lsq",
        gradient: GradientFactor = "scale",
    ) -> None:
        super().__init__()
        self.initial, self.gradient = spread_scale if start == "lsq_plus" else initial_scale, gradient
        self.bits, self.is_input, self.scale_factor = bits, signed is None, scale_factor
        self.step_size = nn.Parameter(torch.ones(shape))
        self.register_buffer("signed", torch.tensor(signed is not False))
        self.register_buffer("batches", torch.tensor(0))
        self._set_range()

    signed: Tensor
    batches: Tensor

    def _set_range(self) -> None:
        self.codes = integer_range(self.bits, signed=bool(self.signed))

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._set_range()

    def restart(self) -> None:
        """Forget the values seen so far."""
        self.signed.fill_(not self.is_input)
        self.batches.zero_()

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set the scale to its start times scale_factor; over several calls, to the mean of their values."""
        if self.is_input:
            self.signed |= (x < 0).any()
            self._set_range()
        scale = self.scale_factor * self.initial(x, self.step_size.dim() > 0, self.codes.qmax)
        self.step_size.lerp_(scale, 1 / (int(self.batches) + 1))
        self.batches += 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; calibration sets the scale first."""
        if self.calibrating:
            self.start_from(x)
        return self.rounded(x)

    def rounded(self, x: Tensor) -> Tensor:
        """Return x on the grid of the present scale."""
        if not torch.is_grad_enabled():
            return (x / self.step_size).round_().clamp_(*self.codes).mul_(self.step_size)
        scales = 1 if self.gradient == "tensor" else self.step_size.numel()
        grad_scale = 1 / math.sqrt((x[0].numel() if self.is_input else x.numel() // scales) * self.codes.qmax)
        return cast(Tensor, _RoundToScale.apply(x, self.step_size, self.codes, grad_scale))

    def project(self) -> None:
        """Keep the scale positive: the update may overshoot zero."""
        self.step_size.data.clamp_(min=SMALLEST_SCALE)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the learned scale and an all-zero zero point."""
        return QParams.symmetric(self.step_size, self.codes)


class OffsetQuant(LSQQuant):
    """This fake quantizer of a layer input has a learned offset beside its scale, and unsigned codes."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, signed=False)
        self.is_input = True
        self.offset = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set the offset to the smallest input and the scale by what is above it, means over several calls."""
        self.offset.lerp_(x.min(), 1 / (int(self.batches) + 1))
        super().start_from(x - x.min())

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized input; calibration sets scale and offset first."""
        if self.calibrating:
            self.start_from(x)
        return self.rounded(x - self.offset) + self.offset

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the learned scale, and the offset as a zero point that need not be whole."""
        q = super().qparams()
        return q._replace(zero_point=-self.offset.detach() / q.scale)


class LSQ(SiteQuantizer):
    """LSQ learns scales of weights and, where the spec asks for it, of layer inputs.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`.
        seed: as for `Quantizer`; without effect, since LSQ draws nothing.
        averaged: after weight averaging the averaged scales stay (``average``) or start anew (``recalibrate``).
        scale_factor: as for `SiteQuantizer`.
        start: of the weights' scales, ``lsq`` or ``lsq_plus``.
        gradient: what N in the scale's gradient counts: ``scale``: values that share it, ``tensor``: all of the weight.
        offset: whether inputs have a learned offset, as in LSQ+; integer runtimes refuse one that is no whole code.
    """

    name = "lsq"
    is_base = True
    fixed_scale_reason = ""
    averages = ("average", "recalibrate")
    reference = "Esser et al., Learned Step Size Quantization, ICLR 2020"
    meaning = "rounding with a learned scale"
    family = "learned"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        scale_factor: float = 1.0,
        start: Start = "lsq",
        gradient: GradientFactor = "scale",
        offset: bool = False,
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged, scale_factor=scale_factor)
        check_choice(f"start of {self.name}", start, Start)
        check_choice(f"gradient of {self.name}", gradient, GradientFactor)
        self.start: Start = start
        self.gradient: GradientFactor = gradient
        self.offset = offset

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a scale of signed codes for each output channel or for the tensor."""
        shape = scale_shape(weight, site.per_channel)
        quant = LSQQuant(
            site.weight_bits, shape, scale_factor=self.scale_factor, start=self.start, gradient=self.gradient
        )
        quant.start_from(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Make one scale for the tensor, of signed codes or not as the calibration inputs are."""
        assert site.act_bits is not None
        return OffsetQuant(site.act_bits) if self.offset else LSQQuant(site.act_bits, (), signed=None)
