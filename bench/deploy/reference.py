"""The fake-quantized network rebuilt from a stored file: what the integer file must reproduce.

It runs in any float type, so that the distance between its own float32 and float64 outputs can be put beside the
distance of a runtime. That noise is not small: a value in the middle between two codes of an input grid goes up or
down by its last bit. How many such values a few images hold is chance; over dozens of images the noise is steady.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...quantizers.export import ActQuant
from ..packed.file import PackedModel
from ..packed.twin import Twin

WEIGHTS_ONLY_LIMIT = 1e-4
NOISE_FACTOR = 2.0

Array = NDArray[np.float32]


def round_deployed(act: ActQuant, x: Tensor) -> Tensor:
    """Round to the grid with its codes moved as deployment moves them, 128 for signed ones, and the zero point first.

    That changes no value, but takes last bits from ``x / scale`` in float32.
    """
    shift = 128 if act.qmin < 0 else 0
    zero = act.zero_point + shift
    codes = torch.clamp(torch.round(x / act.scale + zero), act.qmin + shift, act.qmax + shift)
    return (codes - zero) * act.scale


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


def prover(network: nn.Module, model: PackedModel, images: Array) -> Prover:
    """Evaluate the fake-quantized form of ``network`` with the stored weights on images (N, C, H, W), normalised."""
    twin, x = Twin(network, model.state(), model.sites), torch.from_numpy(images)
    trained, deployed = twin.logits(x).numpy(), twin.logits(x, round_deployed).numpy()
    twin.network.double()
    truth: NDArray[np.float64] = twin.logits(x.double()).numpy()
    own_noise = _distance(trained, truth)
    noise = max(own_noise, _distance(deployed, truth))
    quantized_inputs = any(site.act is not None for site in model.sites.values())
    limit = max(WEIGHTS_ONLY_LIMIT, NOISE_FACTOR * noise if quantized_inputs else 0.0)
    return Prover(images, truth, noise, limit, own_noise=own_noise)


def _distance(logits: Array, truth: NDArray[np.float64]) -> float:
    return float(np.abs(logits - truth).max())
