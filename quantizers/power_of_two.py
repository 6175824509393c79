r"""Power of two: the levels of `inq` without its portions and without its freezing, trained straight through.

    linear:  top = 2^floor(log2(4 m / 3)),  the nearest of {0, +-2^(1-n) top, ..., +-top}          as in `inq`
    log:     top = 2^round(log2 m),  sign(w) top 2^max(round(log2(|w| / top)), 1-n),  0 below 2^(1/2-n) top
    m = max|w| of the channel or tensor, anew at each forward,   n = 2^(b-2);   dw_q/dw = 1

Against `inq` it shows what putting weights away in portions adds to the grid itself; noise and sizes are those of INQ.

Reference: Miyashita, Lee and Murmann, "Convolutional Neural Networks using Logarithmic Data Representation", arXiv
1603.01025, for rounding in the logarithm; levels and their number as in Zhou et al., "INQ", ICLR 2017. To train it
straight through is ours.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from .fake_quant import FakeQuant, largest
from .inq import powers_of_two
from .levels import LevelsQuant
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec, check_choice

Rounding = Literal["linear", "log"]


def geometric_edges(levels: Tensor) -> Tensor:
    """Return the edges between powers of two that lie in the middle of their logarithms; levels as of `powers_of_two`."""
    above = levels[levels > 0]
    edges = above / 2**0.5
    return torch.cat([-edges.flip(0), edges])


class PowerOfTwoQuant(LevelsQuant):
    """The scale of this fake quantizer is a power of two.

    Args:
        bits: 2 to 8.
        rounding: ``linear`` or ``log``, see the equations above.
        per_channel: as for `LevelsQuant`.
    """

    def __init__(self, bits: int, rounding: Rounding, *, per_channel: bool) -> None:
        levels = powers_of_two(bits)
        edges = geometric_edges(levels) if rounding == "log" else None
        super().__init__(levels, per_channel=per_channel, edges=edges)
        self.rounding = rounding

    @torch.no_grad()
    def scale(self, x: Tensor) -> Tensor:
        """Compute the largest level, shape (channels, 1, ...) or ()."""
        top = largest(x, self.per_channel)
        return torch.exp2(top.log2().round() if self.rounding == "log" else (4 * top / 3).log2().floor())


class PowerOfTwo(SiteQuantizer):
    """Power of two rounds weights onto powers of two at every step.

    Args:
        spec: what to quantize.
        rounding: ``linear``: to the nearest level, as INQ; ``log``: to the nearest logarithm.
        options: the settings of `SiteQuantizer`.
    """

    name = "power_of_two"
    is_base = True
    fixed_scale_reason = "its levels are powers of two below the largest weight"
    reference = "Miyashita et al., arXiv 1603.01025; levels of Zhou et al., INQ, ICLR 2017"
    meaning = "rounding onto powers of two"
    beyond = "passed"
    family = "non-uniform"

    def __init__(self, spec: QuantSpec | None = None, *, rounding: Rounding = "linear", **options: Any) -> None:
        super().__init__(spec, **options)
        check_choice("rounding", rounding, Rounding)
        self.rounding: Rounding = rounding

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the levels."""
        return PowerOfTwoQuant(site.weight_bits, self.rounding, per_channel=site.per_channel)
