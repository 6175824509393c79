"""The fake-quantized network rebuilt from a stored file: what the integer file must reproduce.

It runs in any float type, so that the distance between its own float32 and float64 outputs can be put beside the
distance of a runtime. That noise is not small: a value in the middle between two codes of an input grid goes up or
down by its last bit. How many such values a few images hold is chance; over dozens of images the noise is steady.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quantdg.bench.deploy.integer import load_float
from quantdg.bench.deploy.packing import PackedModel
from quantdg.quantizers.base import ActQuant, SiteExport

WEIGHTS_ONLY_LIMIT = 1e-4
NOISE_FACTOR = 2.0

Array = NDArray[np.float32]


class QuantizedInput(nn.Module):
    """A layer behind the fake quantizer of its input, on the unsigned grid that is deployed.

    ``zero_first`` adds the zero point before rounding, as torch's own fake quantizer does; it costs last bits in float32.
    """

    zero_first: bool = True

    def __init__(self, layer: nn.Module, act: ActQuant) -> None:
        super().__init__()
        self.layer, self.act = layer, act
        shift = 128 if act.qmin < 0 else 0
        self.zero, self.low, self.high = act.zero_point + shift, act.qmin + shift, act.qmax + shift

    def forward(self, x: Tensor) -> Tensor:
        """``layer((clamp(round(x / scale + zero), low, high) - zero) * scale)``."""
        scaled = x / self.act.scale
        codes = torch.round(scaled + self.zero) if self.zero_first else torch.round(scaled) + self.zero
        codes = torch.clamp(codes, self.low, self.high)
        out: Tensor = self.layer((codes - self.zero) * self.act.scale)
        return out


def build_reference(network: nn.Module, state: Mapping[str, Tensor], sites: Mapping[str, SiteExport]) -> nn.Module:
    """The network with dequantized weights and fake-quantized inputs, in eval mode; ``network`` is not changed."""
    out = load_float(network, state)
    for name, site in sites.items():
        if site.act is not None:
            out.set_submodule(name, QuantizedInput(out.get_submodule(name), site.act))
    return out.eval()


@dataclass(frozen=True)
class Proof:
    """How far a runtime is from the fake-quantized network in float64, over all logits of some images.

    Attributes:
        difference: largest |runtime - float64 network|.
        noise: largest |float32 network - float64 network|, the zero points added before or after rounding.
        limit: what ``difference`` may be: 1e-4 where only weights are quantized, else twice ``noise`` and at
            least 1e-4.
    """

    difference: float
    noise: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the runtime computes the same model."""
        return self.difference <= self.limit


@dataclass(frozen=True)
class Prover:
    """The outputs of the fake-quantized network that runtimes are compared with."""

    images: Array
    truth: NDArray[np.float64]
    noise: float
    limit: float

    def compare(self, run: Callable[[Array], Array]) -> Proof:
        """The distance of a runtime that takes all the images in one call."""
        return Proof(_distance(run(self.images), self.truth), self.noise, self.limit)


@torch.no_grad()
def prover(network: nn.Module, model: PackedModel, images: Array) -> Prover:
    """Evaluate the fake-quantized form of ``network`` with the stored weights on images (N, C, H, W), normalised."""
    reference = build_reference(network, model.state(), model.sites)
    x = torch.from_numpy(images)
    singles = [_run(reference, x, zero_first) for zero_first in (True, False)]
    truth: NDArray[np.float64] = reference.double()(x.double()).numpy()
    noise = max(_distance(single, truth) for single in singles)
    quantized_inputs = any(site.act is not None for site in model.sites.values())
    limit = max(WEIGHTS_ONLY_LIMIT, NOISE_FACTOR * noise if quantized_inputs else 0.0)
    return Prover(images, truth, noise, limit)


def _run(reference: nn.Module, x: Tensor, zero_first: bool) -> Array:
    for module in reference.modules():
        if isinstance(module, QuantizedInput):
            module.zero_first = zero_first
    out: Array = reference(x).numpy()
    return out


def _distance(logits: Array, truth: NDArray[np.float64]) -> float:
    return float(np.abs(logits - truth).max())
