r"""LSQ: the step size is trained with the network.

    w_q = s * round(clip(w / s, -Qn, Qp)),   signed: Qn = 2^(b-1), Qp = 2^(b-1) - 1; unsigned: 0, 2^b - 1

Straight-through gradients: inside the clip range dw_q/dw = 1 and dw_q/ds = round(w/s) - w/s;
outside dw_q/dw = 0 and dw_q/ds = -Qn or Qp. The step gradient is scaled by 1 / sqrt(N * Qp), N = number of
values that share a step. Start: s = 2 E|w| / sqrt(Qp), for activations on the calibration batches.

Reference: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2; per-channel steps and
7 bits as in Javed et al., "QT-DoG", ICML 2025, appendix B.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .sites import FakeQuant, QParams, SiteQuantizer
from .spec import SiteSpec

SMALLEST_STEP = 1e-8


class _RoundToStep(torch.autograd.Function):
    """Forward in place on one buffer; backward linear in the incoming gradient, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, qmin: int, qmax: int, grad_scale: float) -> Tensor:
        v = x / step
        ctx.all_inside = False
        if not x.is_cuda:  # saves passes over the weight; on a GPU the answer would cost a synchronization
            low, high = torch.aminmax(v)
            ctx.all_inside = bool((low >= qmin) & (high <= qmax))
        inside = () if ctx.all_inside else ((v >= qmin) & (v <= qmax),)
        out = v.round_().clamp_(qmin, qmax).mul_(step)
        ctx.save_for_backward(x, out, step, *inside)
        ctx.grad_scale = grad_scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (grad,) = grads
        x, out, step, *inside = (t.detach() for t in ctx.saved_tensors)
        grad_x = grad if ctx.all_inside else grad * inside[0]
        error = out - x if ctx.all_inside else out - x * inside[0]  # step * dw_q/ds, clipped values included
        dims = [d for d in range(x.dim()) if step.dim() == 0 or step.shape[d] == 1]
        grad_step = (grad * error).sum(dims, keepdim=step.dim() > 0) / step * ctx.grad_scale
        return grad_x, grad_step, None, None, None


def first_step(x: Tensor, per_channel: bool, qmax: int) -> Tensor:
    """2 E|x| / sqrt(qmax), the step LSQ starts from: shape (channels, 1, ...), or () for one step."""
    magnitude = x.detach().abs()
    mean = magnitude.mean(tuple(range(1, x.dim())), keepdim=True) if per_channel else magnitude.mean()
    return (2 * mean / math.sqrt(qmax)).clamp_min(SMALLEST_STEP)


class LSQQuant(FakeQuant):
    """A learned step size, one per tensor or one per channel along dimension 0.

    Args:
        bits: 2 to 8.
        shape: of the step size: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        signed: True for a weight; None for a layer input, where calibration decides: unsigned
            where no value is negative.
        step_scale: factor on the start, > 0.
    """

    def __init__(
        self, bits: int, shape: tuple[int, ...] = (), signed: bool | None = True, step_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.bits, self.is_input, self.step_scale = bits, signed is None, step_scale
        self.step_size = nn.Parameter(torch.ones(shape))
        self.register_buffer("signed", torch.tensor(signed is not False))
        self.register_buffer("batches", torch.tensor(0))
        self._set_range()

    signed: Tensor
    batches: Tensor

    def _set_range(self) -> None:
        signed = bool(self.signed)
        self.qmin = -(2 ** (self.bits - 1)) if signed else 0
        self.qmax = 2 ** (self.bits - 1) - 1 if signed else 2**self.bits - 1

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._set_range()

    def restart(self) -> None:
        """Forget the values seen so far."""
        self.signed.fill_(not self.is_input)
        self.batches.zero_()

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set the step to 2 E|x| / sqrt(Qp) times step_scale; over several calls, to the mean of their values."""
        if self.is_input:
            self.signed |= (x < 0).any()
            self._set_range()
        step = self.step_scale * first_step(x, self.step_size.dim() > 0, self.qmax)
        self.step_size.lerp_(step, 1 / (int(self.batches) + 1))
        self.batches += 1

    def forward(self, x: Tensor) -> Tensor:
        """The fake-quantized tensor; calibration sets the step first."""
        if self.calibrating:
            self.start_from(x)
        shared = x[0].numel() if self.is_input else x.numel() // self.step_size.numel()
        grad_scale = 1 / math.sqrt(shared * self.qmax)
        out: Tensor = _RoundToStep.apply(x, self.step_size, self.qmin, self.qmax, grad_scale)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Step size and an all-zero zero point."""
        step = self.step_size.detach().reshape(-1 if self.step_size.dim() else ())
        return QParams(step, torch.zeros_like(step), self.qmin, self.qmax, 0 if self.step_size.dim() else None)


class LSQ(SiteQuantizer):
    """Learned step sizes on weights and, where the spec asks for it, on layer inputs.

    After weight averaging the averaged steps stay (``averaged="average"``) or start anew (``"recalibrate"``).
    """

    name = "lsq"
    step_is_fixed = ""
    averages = ("average", "recalibrate")
    reference = "Esser et al., Learned Step Size Quantization, ICLR 2020"
    meaning = "rounding with a learned scale"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """A signed step size for each output channel or for the tensor."""
        per_channel = site.granularity == "per_channel"
        shape = (weight.shape[0], *[1] * (weight.dim() - 1)) if per_channel else ()
        quant = LSQQuant(site.weight_bits, shape, step_scale=self.step_scale)
        quant.start_from(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """A per-tensor step size, signed or not as the calibration inputs are."""
        assert site.act_bits is not None
        return LSQQuant(site.act_bits, (), signed=None)

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Keep step sizes positive: the update may overshoot zero."""
        for name in self.plan.parameters:
            model.get_parameter(name).clamp_(min=SMALLEST_STEP)
