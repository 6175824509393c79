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

from ...quantizers.export import ActQuant, SiteExport
from ..packed.file import PackedModel
from .integer import load_float

WEIGHTS_ONLY_LIMIT = 1e-4
NOISE_FACTOR = 2.0

Array = NDArray[np.float32]


class QuantizedInput(nn.Module):
    """This puts a layer behind the fake quantizer of its input.

    ``shift`` moves the codes as deployment does, which changes no value, but takes last bits from ``x / scale`` in
    float32: 128 for signed codes where ``deployed``, else 0.
    """

    deployed: bool = False

    def __init__(self, layer: nn.Module, act: ActQuant) -> None:
        super().__init__()
        self.layer, self.act = layer, act

    def forward(self, x: Tensor) -> Tensor:
        """Return ``layer((clamp(round(x / scale + zero), qmin, qmax) - zero) * scale)``, codes moved by ``shift``."""
        act = self.act
        shift = 128 if self.deployed and act.qmin < 0 else 0
        zero = act.zero_point + shift
        codes = torch.clamp(torch.round(x / act.scale + zero), act.qmin + shift, act.qmax + shift)
        out: Tensor = self.layer((codes - zero) * act.scale)
        return out


def build_reference(network: nn.Module, state: Mapping[str, Tensor], sites: Mapping[str, SiteExport]) -> nn.Module:
    """Return a copy of the network with dequantized weights and fake-quantized inputs, in eval mode."""
    out = load_float(network, state)
    for name, site in sites.items():
        if site.act is not None:
            out.set_submodule(name, QuantizedInput(out.get_submodule(name), site.act))
    return out.eval()


@dataclass(frozen=True)
class Proof:
    """A proof says how far a runtime is from the fake-quantized network in float64, over all logits of some images.

    Attributes:
        difference: largest |runtime - float64 network|.
        noise: largest |float32 network - float64 network|, on the trained grids or on the deployed ones.
        limit: what ``difference`` may be: 1e-4 where only weights are quantized, else twice ``noise`` and at
            least 1e-4.
        own_noise: of the trained grids alone.
    """

    difference: float
    noise: float
    limit: float
    own_noise: float

    @property
    def holds(self) -> bool:
        """Whether the runtime computes the same model."""
        return self.difference <= self.limit


@dataclass(frozen=True)
class Prover:
    """A prover holds the outputs of the fake-quantized network that runtimes are compared with."""

    images: Array
    truth: NDArray[np.float64]
    noise: float
    limit: float
    own_noise: float

    def compare(self, run: Callable[[Array], Array]) -> Proof:
        """Return the distance of a runtime that takes any number of images."""
        return Proof(_distance(run(self.images), self.truth), self.noise, self.limit, self.own_noise)


@torch.no_grad()
def prover(network: nn.Module, model: PackedModel, images: Array) -> Prover:
    """Evaluate the fake-quantized form of ``network`` with the stored weights on images (N, C, H, W), normalised."""
    reference = build_reference(network, model.state(), model.sites)
    x = torch.from_numpy(images)
    trained, deployed = (_run(reference, x, deployed) for deployed in (False, True))
    truth: NDArray[np.float64] = reference.double()(x.double()).numpy()
    own_noise = _distance(trained, truth)
    noise = max(own_noise, _distance(deployed, truth))
    quantized_inputs = any(site.act is not None for site in model.sites.values())
    limit = max(WEIGHTS_ONLY_LIMIT, NOISE_FACTOR * noise if quantized_inputs else 0.0)
    return Prover(images, truth, noise, limit, own_noise=own_noise)


def _run(reference: nn.Module, x: Tensor, deployed: bool) -> Array:
    for module in reference.modules():
        if isinstance(module, QuantizedInput):
            module.deployed = deployed
    out: Array = reference(x).numpy()
    return out


def _distance(logits: Array, truth: NDArray[np.float64]) -> float:
    return float(np.abs(logits - truth).max())
