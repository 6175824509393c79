r"""PACT activations and SAWB weights: a learned clip on inputs, a statistical clip on weights.

PACT, for inputs without negative values:

    y = clip(x, 0, a),   y_q = round(y / s) s,   s = a / (2^b - 1)
    dy_q/dx = 1 for 0 <= x < a, else 0;   dy_q/da = 1 for x >= a, else 0;   loss += decay * sum of a^2

Where calibration sees negative values (the image itself, residual sums) the clip is [-a, a], s = a / (2^(b-1) - 1)
and dy_q/da = -1 for x <= -a: an extension of ours. a starts at the mean over calibration batches of max |x|.

SAWB, on 2^b - 1 levels with 0 among them, per output channel or per tensor, a recomputed at each forward:

    a = c1 sqrt(E w^2) + c2 E|w|,   w_q = s clip(round(w / s), -m, m),   m = 2^(b-1) - 1,   s = a / m
    dw_q/dw = 1 for |w| <= a, else 0

Fitted (c1, c2) exist for 2, 4, 7 and 8 bits; nothing is interpolated. At 7 and 8 bits a is a difference of two large numbers:
on a channel of few weights that are rather flat it falls below half of max |w|, or to 0 (27 uniform weights: 24 % and 4 % of
the channels at 7 bits; 3 of SqueezeNet's 2,944). Such channels get a = max |w|, which is ours; ``guard=false`` leaves them as
fitted, and takes max |w| only where a is not positive. The audit has their share (``unfit``) either way.

Reference: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks", arXiv 1805.06085,
section 3; Choi et al., "Accurate and Efficient 2-bit Quantized Neural Networks", MLSys 2019, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, shared_dims
from .insertion import act_quants
from .sites import SiteQuantizer
from .spec import IntegerRange, QuantSpec, SiteSpec, integer_range

SENSITIVE = 7
"""Bits from which a clip below half the largest weight is a failure of the fit."""
COEFFICIENTS = {2: (2.6, -1.71), 4: (12.035, -12.03), 7: (28.24, -30.81), 8: (31.76, -35.04)}


class _ClipRound(torch.autograd.Function):
    """Rounds onto ``codes`` in units of ``scale``; gradients of the clip, linear in the incoming one.

    PACT stops the gradient of a value that equals the clip, SAWB passes it (``passes_at_clip``).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: Tensor, scale: Tensor, codes: IntegerRange, passes_at_clip: bool) -> Tensor:
        ctx.save_for_backward(x, clip)
        ctx.signed = codes.qmin < 0
        ctx.beyond = torch.gt if passes_at_clip else torch.ge
        return (x / scale).round_().clamp_(*codes).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        (grad,) = grads
        x, clip = (t.detach() for t in ctx.saved_tensors)
        above, below = ctx.beyond(x, clip), ctx.beyond(-x, clip) if ctx.signed else x < 0
        grad_clip = None
        if ctx.needs_input_grad[1]:
            sign = above.to(grad.dtype) - below.to(grad.dtype) if ctx.signed else above.to(grad.dtype)
            grad_clip = (grad * sign).sum()
        return grad.masked_fill(above | below, 0), grad_clip, None, None, None


class PACTQuant(FakeQuant):
    """This fake quantizer has a learned clip for a layer's input.

    Args:
        bits: 2 to 8.
    """

    signed: Tensor
    batches: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.alpha = nn.Parameter(torch.ones(()))
        self.register_buffer("signed", torch.tensor(False))
        self.register_buffer("batches", torch.tensor(0))
        self._set_range()

    def _set_range(self) -> None:
        self.codes = integer_range(self.bits, signed=bool(self.signed), narrow=True)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._set_range()

    def restart(self) -> None:
        """Forget the inputs seen so far."""
        self.signed.fill_(False)
        self.batches.zero_()

    @torch.no_grad()
    def _start_from(self, x: Tensor) -> None:
        self.signed |= (x < 0).any()
        self._set_range()
        self.alpha.lerp_(x.abs().max().clamp_min(SMALLEST_SCALE), 1 / (int(self.batches) + 1))
        self.batches += 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the clipped and rounded input; calibration sets the clip first."""
        if self.calibrating:
            self._start_from(x)
        out: Tensor = _ClipRound.apply(x, self.alpha, self.alpha.detach() / self.codes.qmax, self.codes, False)
        return out

    def project(self) -> None:
        """Keep the clip positive: the update may overshoot zero."""
        self.alpha.data.clamp_(min=SMALLEST_SCALE)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale alpha / qmax and zero point 0."""
        return QParams.symmetric(self.alpha / self.codes.qmax, self.codes)


class SAWBQuant(FakeQuant):
    """This fake quantizer clips by the weight's first two absolute moments; it has no state.

    Args:
        bits: 2, 4, 7 or 8.
        per_channel: one clip for each index of dimension 0, else one for the tensor.
        scale_factor: factor on every clip and so on the scale, > 0.
        guard: whether the largest |w| is the clip wherever the fit cannot be trusted.
    """

    def __init__(self, bits: int, per_channel: bool, scale_factor: float = 1.0, *, guard: bool = True) -> None:
        super().__init__()
        self.sensitive, self.guard = bits >= SENSITIVE, guard
        self.c1, self.c2 = COEFFICIENTS[bits]
        self.codes = integer_range(bits, narrow=True)
        self.per_channel, self.scale_factor = per_channel, scale_factor

    def _fit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """c1 sqrt(E w^2) + c2 E|w| and max |w|, shape (channels, 1, ...) or ()."""
        dims, keep = shared_dims(x, self.per_channel), self.per_channel
        fit = self.c1 * x.square().mean(dims, keepdim=keep).sqrt() + self.c2 * x.abs().mean(dims, keepdim=keep)
        return fit, x.abs().amax(dims, keepdim=keep)

    @torch.no_grad()
    def clip(self, x: Tensor) -> Tensor:
        """Compute the clip, shape (channels, 1, ...) or (); max |w| where the fit is not positive, or guarded."""
        fit, largest = self._fit(x)
        trusted = fit >= largest / 2 if self.guard and self.sensitive else fit > 0
        return (self.scale_factor * torch.where(trusted, fit, largest)).clamp_min(SMALLEST_SCALE)

    @torch.no_grad()
    def unfit(self, x: Tensor) -> float | None:
        """Compute the share of clips whose fit is below half the largest |w|; None at widths that clip that much on purpose."""
        fit, largest = self._fit(x)
        return float((fit < largest / 2).float().mean()) if self.sensitive else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantized weight."""
        clip = self.clip(x)
        out: Tensor = _ClipRound.apply(x, clip, clip / self.codes.qmax, self.codes, True)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return scale a / m of the weight ``x`` and zero point 0."""
        assert x is not None, "the grid of SAWB is a function of the weight"
        return QParams.symmetric(self.clip(x) / self.codes.qmax, self.codes)


class PACT(SiteQuantizer):
    """PACT clips inputs and comes with SAWB on weights; the spec asks for both, since PACT alone quantizes no weight.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`.
        seed: as for `Quantizer`; without effect, since PACT draws nothing.
        scale_factor: as for `SiteQuantizer`; it multiplies the clips of SAWB, not of PACT.
        decay: factor of the L2 penalty on the clips, >= 0.
        averaged: after weight averaging, ``average`` keeps the averaged clips, ``recalibrate`` starts them anew.
        guard: whether SAWB's clip is max |w| wherever its fit gives less than half of that, at 7 and 8 bits.
    """

    name = "pact"
    is_base = True
    fixed_scale_reason = ""
    averages = ("average", "recalibrate")
    reference = "Choi et al., PACT, arXiv 1805.06085; SAWB weights, MLSys 2019"
    meaning = "rounding below a clip from the weight's moments, with learned clips on inputs"
    family = "learned"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        decay: float = 1e-4,
        averaged: str | None = None,
        scale_factor: float = 1.0,
        guard: bool = True,
    ) -> None:
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged, scale_factor=scale_factor)
        self.guard = guard
        if decay < 0:
            raise ConfigError(f"decay must not be negative, got {decay}; write for example decay=1e-4")
        self.decay = decay

    def refuses(self, site: SiteSpec) -> str:
        """Refuse widths without SAWB coefficients, and float inputs, which PACT is not for."""
        if site.weight_bits not in COEFFICIENTS:
            return f"SAWB has coefficients for 2, 4, 7 and 8 bits, got weight_bits={site.weight_bits}"
        if site.act_bits is None:
            return "PACT quantizes layer inputs, got act_bits=None; write for example act_bits=8"
        return super().refuses(site)

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the clip of SAWB."""
        return SAWBQuant(site.weight_bits, site.per_channel, self.scale_factor, guard=self.guard)

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Make the learned clip of PACT."""
        assert site.act_bits is not None
        return PACTQuant(site.act_bits)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the L2 penalty on the clips, decay * sum of alpha^2, or None where nothing but weights is quantized."""
        clips = [quant.alpha for quant in act_quants(model)]
        return self.decay * torch.stack(clips).square().sum() if clips else None
