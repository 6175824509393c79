r"""Gradual bits: training starts at 8 bits and loses one after another until the width asked for is reached.

    training: w' = Q_b(w),   b = start - floor(steps done / every), down to the spec's bits;   eval: w' = w_q, the spec's bits

Every width is a grid of the base, started from the weights as they are when its turn comes. What the base learns, it
learns at the last width; before, its scales stay as they start. Widths the base does not have are left out. An evaluation
before the end sees the last width, started anew with each phase: the model that would be deployed. Where the spec asks for
``start`` bits or more, this is the base itself.

Reference: after Zhuang et al., "Towards Effective Low-bitwidth Convolutional Neural Networks", CVPR 2018
(progressive quantization, over DoReFa); one bit at a time, the length of a phase and what learns when are our reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import FakeQuant
from .over import OverQuant, OverQuantizer
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec, check_bits


def without_parameters(quant: FakeQuant) -> FakeQuant:
    """Make buffers of all Parameters, so that nothing learns."""
    for module in quant.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, p.detach().clone())
    return quant


class GradualQuant(OverQuant):
    """This fake quantizer rounds onto finer grids first.

    Args:
        base: makes the grids.
        weight: to begin with.
        sites: the layer at each width, the finest first, the one that is asked for last.
        every: steps of a phase.
    """

    phase: Tensor

    def __init__(self, base: SiteQuantizer, weight: Tensor, sites: Sequence[SiteSpec], *, every: int) -> None:
        grids = [base.weight_quantizer(weight, site).to(weight.device) for site in sites]
        super().__init__(grids[-1])
        self.finer = nn.ModuleList(map(without_parameters, grids[:-1]))
        self.base, self.sites, self.every, self._now = base, tuple(sites), every, 0
        self.register_buffer("phase", torch.tensor(0))

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._now = int(self.phase)

    @property
    def present(self) -> FakeQuant:
        """The fake quantizer of the present phase."""
        return cast(FakeQuant, (*self.finer, self.inner)[self._now])

    def forward(self, x: Tensor) -> Tensor:
        """Return x on the present phase's grid in training, on the last one else."""
        out: Tensor = self.present(x) if self.training and not self.calibrating else self.inner(x)
        return out

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Begin the next phase where it is due, then let the grids move their schedules."""
        phase = min(step // self.every, len(self.finer))
        if phase > self._now:
            self._now = phase
            self.phase.fill_(phase)
            for quant, site in ((self.present, self.sites[phase]), (self.inner, self.sites[-1])):
                fresh = self.base.weight_quantizer(weight, site).to(weight.device)
                quant.load_state_dict(fresh.state_dict())
        for quant in dict.fromkeys((self.present, self.inner)):
            quant.advance(weight, step)


class GradualBits(OverQuantizer):
    """Gradual bits lowers the width of the weights during training, over the grid of another quantizer.

    Args:
        spec: what to quantize; its bits are the last.
        start: the first width, 3 to 8 bits.
        every: steps at each width before the last, at least 1.
        options: the settings of `OverQuantizer`.
    """

    name = "gradual_bits"
    reference = "after Zhuang et al., Towards Effective Low-bitwidth CNNs, CVPR 2018 (our reading)"
    meaning = "rounding to fewer and fewer bits"
    family = "schedule"
    ranges = LEARNING_RATE

    def __init__(self, spec: QuantSpec | None = None, *, start: int = 8, every: int = 5, **options: Any) -> None:
        super().__init__(spec, **options)
        check_bits("start", start)
        if every < 1:
            raise ConfigError(f"every must be at least 1, got {every}; write the steps to spend at each width")
        self.start, self.every = start, every
        self.beyond, self.groups = "any", self.base.groups

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make a grid of each width down to the site's that the base has."""
        finer = [replace(site, weight_bits=bits) for bits in range(self.start, site.weight_bits, -1)]
        sites = [*(s for s in finer if not self.base.refuses(s)), site]
        return GradualQuant(self.base, weight, sites, every=self.every)

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Leave a single grid as it is."""
        return OverQuant(inner)
