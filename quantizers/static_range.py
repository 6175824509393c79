r"""Uniform grids whose range is computed from the values, not learned: the common part of `min_max`, `mse`, `percentile`.

    symmetric:  s = max(|low|, |high|) / ((qmax - qmin) / 2),  z = 0
    affine:     s = (max(high, 0) - min(low, 0)) / (qmax - qmin),  z = qmin - round(min(low, 0) / s)
    x_q = s (clip(round(x / s) + z, qmin, qmax) - z)
    dx_q/dx = 1 where qmin - z <= x / s <= qmax - z, else 0;   1 everywhere with gradient="straight"

The mask is written out, on the value before rounding: autograd's own derivative of clamp at its bounds differs between
versions of torch. A method says only which range a tensor has.

Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018; straight-through: Bengio et al., arXiv 1308.3432.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ..core.counted import Counted
from ..core.errors import ConfigError
from .fake_quant import SMALLEST_SCALE, FakeQuant, QParams, flatten_scale, scale_shape, shared_dims
from .sites import SiteQuantizer
from .spec import IntegerRange, QuantSpec, SiteSpec, check_choice, integer_range

Gradient = Literal["clipped", "straight"]


class Range(NamedTuple):
    """A range is what a grid must cover, each end of shape (channels, 1, ...) or ()."""

    low: Tensor
    high: Tensor


class Grid(NamedTuple):
    """A uniform grid; scale and zero point have shape (channels, 1, ...) or ()."""

    scale: Tensor
    zero_point: Tensor
    codes: IntegerRange

    def round(self, x: Tensor) -> Tensor:
        """Put every value onto the grid; this passes no gradient."""
        codes = (torch.round(x / self.scale) + self.zero_point).clamp_(*self.codes)
        return codes.sub_(self.zero_point).mul_(self.scale)


def grid_of(found: Range, codes: IntegerRange, *, symmetric: bool) -> Grid:
    """Compute the grid that covers a range, as in the equations above."""
    if symmetric:
        scale = torch.maximum(found.low.abs(), found.high.abs()) / ((codes.qmax - codes.qmin) / 2)
        return Grid(scale.clamp_min(SMALLEST_SCALE), torch.zeros_like(scale), codes)
    low, high = found.low.clamp_max(0), found.high.clamp_min(0)
    scale = ((high - low) / (codes.qmax - codes.qmin)).clamp_min(SMALLEST_SCALE)
    return Grid(scale, (codes.qmin - torch.round(low / scale)).clamp_(*codes), codes)


class _OntoGrid(torch.autograd.Function):
    """Rounds onto a grid; the backward is linear in the incoming gradient, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Grid, straight: bool) -> Tensor:
        if not straight:
            v = x / grid.scale + grid.zero_point
            ctx.save_for_backward((v >= grid.codes.qmin) & (v <= grid.codes.qmax))
        return grid.round(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        return (grad * ctx.saved_tensors[0] if ctx.saved_tensors else grad), None, None


class StaticQuant(Counted, FakeQuant):
    """This fake quantizer keeps the range it was last shown; training forwards do not move it.

    Args:
        codes: of the grid.
        shape: of the scale: ``()``, or ``(channels, 1, ...)`` to broadcast against the weight.
        symmetric: whether the zero point is 0.
        gradient: ``clipped`` or ``straight``, see the equations above.
        scale_factor: factor on the range, > 0.

    Attributes:
        refresh: optimizer steps between two settings of a weight's range; 0: never.
    """

    counter = "batches"
    low: Tensor
    high: Tensor

    def __init__(
        self, codes: IntegerRange, shape: tuple[int, ...], *, symmetric: bool, gradient: Gradient, scale_factor: float
    ) -> None:
        super().__init__()
        self.codes, self.symmetric, self.scale_factor = codes, symmetric, scale_factor
        self.refresh = 0
        self.straight = gradient == "straight"
        self.register_buffer("low", torch.zeros(shape))
        self.register_buffer("high", torch.ones(shape))
        self.start_counting()

    def advance(self, weight: Tensor, step: int) -> None:
        """Set the range of a weight anew where that is due."""
        if self.refresh and step % self.refresh == 0:
            self.restart()
            self.observe(weight)

    @abstractmethod
    def range_of(self, x: Tensor) -> Range:
        """Compute the range of a weight or of one batch of inputs, each end of the scale's shape."""

    def merge(self, seen: Range, new: Range, batches: int) -> Range:
        """Take a further batch into the range of ``batches`` earlier ones; the default is the mean of their ranges."""
        return Range(seen.low.lerp(new.low, 1 / (batches + 1)), seen.high.lerp(new.high, 1 / (batches + 1)))

    def restart(self) -> None:
        """Forget the values seen so far."""
        self.count(0)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Take ``x`` into the range."""
        new = self.range_of(x)
        found = self.merge(Range(self.low, self.high), new, self.now) if self.now else new
        self.low.copy_(found.low)
        self.high.copy_(found.high)
        self.count(self.now + 1)

    @property
    def per_channel(self) -> bool:
        """Say whether each index of dimension 0 has a range of its own."""
        return self.low.dim() > 0

    def dims(self, x: Tensor) -> tuple[int, ...]:
        """Return the dimensions of ``x`` that share a range."""
        return shared_dims(x, self.per_channel)

    def grid(self) -> Grid:
        """Return the grid that covers the range times ``scale_factor``."""
        found = Range(self.low * self.scale_factor, self.high * self.scale_factor)
        return grid_of(found, self.codes, symmetric=self.symmetric)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized tensor; calibration takes x into the range first."""
        if self.calibrating:
            self.observe(x)
        out: Tensor = _OntoGrid.apply(x, self.grid(), self.straight)
        return out

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid of the range."""
        grid = self.grid()
        scale, zero = (flatten_scale(t, self.per_channel) for t in (grid.scale, grid.zero_point))
        return QParams(scale, zero, *self.codes, axis=0 if self.per_channel else None)


class StaticRangeQuantizer(SiteQuantizer):
    """The weights' ranges are those of the weights, and are set anew each ``refresh`` steps; inputs are calibrated once.

    A subclass names its fake quantizer, and with `settings` what that takes beside the arguments of `StaticQuant`.

    Attributes:
        kind: the fake quantizer of weights, and of inputs unless ``input_kind`` names another.
        usual_refresh: the value of ``refresh`` where none is given.

    Args:
        spec: what to quantize; inputs get unsigned codes and a zero point.
        refresh: optimizer steps between two settings of the weights' ranges; 0: only at insertion.
        narrow: leave out the lowest signed code of weights, so that the codes are symmetric around 0.
        gradient: ``clipped``: 0 for weights and inputs beyond the range; ``straight``: 1 for all.
        averaged: after weight averaging, ``recalibrate`` sets all ranges anew, ``keep`` leaves them.
        scale_factor: factor on the weights' ranges, > 0.
        options: the other settings of `SiteQuantizer`, without effect, since nothing is learned or drawn.
    """

    kind: ClassVar[type[StaticQuant]]
    input_kind: ClassVar[type[StaticQuant] | None] = None
    fixed_scale_reason = ""
    affine = True
    averages = ("recalibrate", "keep")
    usual_refresh: ClassVar[int] = 1

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        refresh: int | None = None,
        narrow: bool = False,
        gradient: Gradient = "clipped",
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        self.refresh = self.usual_refresh if refresh is None else refresh
        if self.refresh < 0:
            raise ConfigError(f"refresh must be at least 0, got {refresh}; write refresh=0 for ranges set once")
        check_choice("gradient", gradient, Gradient)
        self.narrow = narrow
        self.gradient: Gradient = gradient
        self.beyond = "passed" if gradient == "straight" else "stopped"

    def settings(self) -> dict[str, Any]:
        """Return what ``kind`` takes beside the arguments of `StaticQuant`, by name."""
        return {}

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a range for each output channel or for the tensor."""
        quant = self.kind(
            integer_range(site.weight_bits, narrow=self.narrow),
            scale_shape(weight, site.per_channel),
            symmetric=site.symmetric,
            gradient=self.gradient,
            scale_factor=self.scale_factor,
            **self.settings(),
        ).to(weight.device)
        quant.refresh = self.refresh
        quant.observe(weight)
        return quant

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Make one range for the tensor, unsigned codes and a zero point."""
        assert site.act_bits is not None
        codes = integer_range(site.act_bits, signed=False)
        kind = self.input_kind or self.kind
        return kind(codes, (), symmetric=False, gradient=self.gradient, scale_factor=1.0, **self.settings())
