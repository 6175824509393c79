r"""PROFIT: the layers whose output a training step changes most are frozen first.

    per output channel of y, with the weights of this step (mu, sd) and of the step before (mu', sd') on the same input:
    KL = log(sd' / sd) + (sd^2 + (mu - mu')^2) / (2 sd'^2) - 1/2
    m <- .999 m + .001 mean over channels of KL,   values above 1 are left out;   start 0

After ``sampling`` steps layers are sorted by m. The steps left are three equal parts: none, the top third and the top two
thirds of the layers frozen, rounded down but at least one. Frozen: weight and scale pass no gradient and are put back after each step; biases, BatchNorm
and input quantizers train on. The paper calls m the activation instability induced by weight quantization (AIWQ).

Ours: the steps are fractions of those after insertion, and y is that of calibration inputs in evaluation mode, one batch
a step, where the paper hooks the training forward; the order of layers is all that is used of it. A layer whose weight is
read without a call is never frozen. The paper's grid is ``base=duq``, without its progressive bits (`gradual_bits`) and
its teacher.

Reference: Park and Yoo, "PROFIT: A Novel Training Method for sub-4-bit MobileNet Models", ECCV 2020;
the release (MIT) was read for momentum, bound and thirds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant, evaluating, frozen_ranges
from .insertion import Site, sites_of
from .names import WEIGHT
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec

DECAY = 0.999
LARGEST = 1.0
"""Divergences above this are left out."""


def divergence(now: Tensor, before: Tensor, channel: int) -> Tensor:
    """Compute the mean over channels of KL(now || before) of two outputs as normal distributions, a scalar.

    Channels without spread are left out; nan where none is left.
    """
    dims = [d for d in range(now.dim()) if d != channel % now.dim()]
    sd, old = now.std(dims), before.std(dims)
    far = now.mean(dims) - before.mean(dims)
    kl = torch.log(old / sd) + (sd.square() + far.square()) / (2 * old.square()) - 0.5
    return kl[(sd > 0) & (old > 0)].mean()


class ProfitQuant(OverQuant):
    """This fake quantizer keeps the layer's instability, and what a frozen layer is put back to.

    Args:
        inner: the base's fake quantizer.
        weight: to begin with.
    """

    metric: Tensor
    frozen: Tensor
    before: Tensor

    def __init__(self, inner: FakeQuant, weight: Tensor) -> None:
        super().__init__(inner)
        self.register_buffer("metric", torch.tensor(0.0))
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("before", weight.detach().clone())
        for i, p in enumerate((weight, *inner.parameters())):
            self.register_buffer(f"kept_{i}", p.detach().clone())

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return the base's output, without a gradient where the layer is frozen."""
        return torch.where(self.frozen, quantized.detach(), quantized)

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``aiwq``, the metric, >= 0, as the last sampling step left it, and ``frozen``, 1 or 0."""
        return {**super().own(x), "aiwq": float(self.metric), "frozen": float(self.frozen)}

    @torch.no_grad()
    def take(self, value: Tensor) -> None:
        """Take one divergence into the metric."""
        new = DECAY * self.metric + (1 - DECAY) * value
        self.metric.copy_(torch.where(value <= LARGEST, new, self.metric))  # nan is left out too

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Put a frozen layer back where it was, whatever momentum and decay did."""
        for i, p in enumerate((weight, *self.inner.parameters())):
            kept = self.get_buffer(f"kept_{i}")
            p.copy_(torch.where(self.frozen, kept, p))
            kept.copy_(p)
        super().advance(weight, step)


class PROFIT(OverQuantizer):
    """PROFIT freezes layers in the order of their instability, over the grid of another quantizer.

    Args:
        spec: what to quantize.
        sampling: steps after insertion in which the instability is measured, at least 1.
        steps: all steps after insertion, above ``sampling``.
        options: the settings of `OverQuantizer`.
    """

    name = "profit"
    reference = "Park and Yoo, PROFIT, ECCV 2020"
    meaning = "rounding, with the layers that rounding moves most frozen at the end"
    family = "schedule"
    dead_weights = "layers whose output changed most are frozen"
    ranges = LEARNING_RATE

    def __init__(
        self, spec: QuantSpec | None = None, *, base: str = "duq", sampling: int = 20, steps: int = 120, **options: Any
    ) -> None:
        super().__init__(spec, base=base, **options)
        if not 1 <= sampling < steps:
            raise ConfigError(
                f"sampling must be at least 1 and less than steps, got sampling={sampling} and steps={steps}; write the "
                "steps that are left after insertion, and a thirtieth of them for sampling"
            )
        self.sampling, self.steps = sampling, steps
        self._inputs: list[Tensor] = []

    def refuses(self, site: SiteSpec) -> str:
        """Refuse what the base refuses, and weights that are not a layer's own."""
        if site.parameter != WEIGHT:
            return f"PROFIT compares outputs of layers, {site.parameter} is not a layer's weight; skip it by a rule"
        return super().refuses(site)

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `ProfitQuant`."""
        return ProfitQuant(inner, weight)

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Set the ranges, and keep the inputs to compare outputs on."""
        self._inputs = list(batches)
        super().calibrate(model, self._inputs)
        self._remember(model)

    @torch.no_grad()
    def _remember(self, model: nn.Module) -> None:
        with frozen_ranges(model):
            for _, site in sites_of(model):
                site.weight_quant.before.copy_(site.weight_quant.inner(site.latent))

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Measure what the step changed, and freeze the next third of the layers where that is due."""
        super().on_step(model, step)
        if step <= self.sampling and self._inputs:
            self._sample(model, self._inputs[step % len(self._inputs)])
            self._remember(model)
        third = (self.steps - self.sampling) / 3
        for part in (1, 2):
            if step == self.sampling + round(part * third):
                self._freeze(model, part)

    def _sample(self, model: nn.Module, inputs: Tensor) -> None:
        with ExitStack() as hooks, evaluating(model), frozen_ranges(model):
            for _, site in sites_of(model):
                hooks.callback(site.module.register_forward_hook(_comparing(site)).remove)
            model(inputs)

    def _freeze(self, model: nn.Module, thirds: int) -> None:
        quants: list[ProfitQuant] = list(dict.fromkeys(site.weight_quant for _, site in sites_of(model)))
        quants.sort(key=lambda quant: -float(quant.metric))
        for quant in quants[: thirds * max(1, len(quants) // 3)]:
            quant.frozen.fill_(True)


def _comparing(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """Make a hook that compares a layer's output with that of the weights of the step before."""

    def compare(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0] if site.act_quant is None else site.act_quant(inputs[0])
        channel = -1 if isinstance(layer, nn.Linear) else 1
        site.weight_quant.take(divergence(output, site.run(site.weight_quant.before, x), channel))

    return compare
