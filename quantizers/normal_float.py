r"""NormalFloat: levels at quantiles of a normal distribution, so that Gaussian weights use all codes alike.

    p = 2^(b-1) levels above 0: Phi^-1 of p + 1 even steps from delta to 1/2, without the last
    p - 1 levels below 0: -Phi^-1 of p even steps likewise;   0;   all divided by the largest
    delta = 1 - (1 / (2 2^b) + 1 / (2 (2^b - 1))) / 2

For 4 bits these are the 16 published values of NF4. The paper scales blocks of 64 weights of a frozen network; here a
channel or a tensor has one scale and the weights train on, with a straight-through gradient. Other widths follow the
same rule, which the paper states for 4 bits only.

Reference: Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", NeurIPS 2023, section 3; scale and
gradient: `levels`.
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

from .fake_quant import FakeQuant
from .levels import LevelsQuant
from .sites import SiteQuantizer
from .spec import SiteSpec


def normal_levels(bits: int) -> Tensor:
    """Return 2^bits levels, rising from -1 to 1, 0 among them."""
    half, codes = 2 ** (bits - 1), 2**bits
    delta = 1 - (1 / (2 * codes) + 1 / (2 * (codes - 1))) / 2
    quantile = NormalDist().inv_cdf

    def tail(count: int) -> list[float]:
        return [quantile(delta + (0.5 - delta) * step / count) for step in range(count)]

    levels = torch.tensor(sorted([*tail(half), 0.0, *(-value for value in tail(half - 1))]), dtype=torch.float64)
    return (levels / levels.abs().max()).float()


class NormalFloat(SiteQuantizer):
    """NormalFloat rounds weights onto quantiles of a normal distribution; it learns nothing of its own."""

    name = "normal_float"
    is_base = True
    fixed_scale_reason = ""
    reference = "Dettmers et al., QLoRA, NeurIPS 2023 (NF4, here trained through)"
    meaning = "rounding onto quantiles of a normal distribution"
    beyond = "passed"
    family = "non-uniform"

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the levels."""
        return LevelsQuant(
            normal_levels(site.weight_bits), per_channel=site.per_channel, scale_factor=self.scale_factor
        )
