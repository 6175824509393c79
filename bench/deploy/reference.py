"""The fake-quantized network rebuilt from a stored file: what the integer file must reproduce.

It runs in any float type, so that the distance between its own float32 and float64 outputs can be put beside the
distance of a runtime. That noise is not small: a value in the middle between two codes of an input grid goes up or
down by its last bit. How many such values a few images hold is chance; over dozens of images the noise is steady.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...quantizers.export import ActQuant
from ..packed.file import PackedModel
from ..packed.twin import NOISE_FACTOR, Twin

WEIGHTS_ONLY_LIMIT = 1e-4

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
class RecordedLogits:
    """This is what the trained network gave when its cell was measured, from its record.

    Attributes:
        images: (N, C, H, W), normalised.
        logits: (N, classes).
    """

    images: Array
    logits: Array


@dataclass(frozen=True)
class Proof:
    """A proof says how far a runtime is from the fake-quantized network in float64, over all logits of some images.

    Attributes:
        difference: largest |runtime - float64 network|.
        noise: largest |float32 network - float64 network|, on the trained grids or on the deployed ones.
        limit: what ``difference`` may be: 1e-4 where only weights are quantized, else twice ``noise``, or what last bits
            before a rounding may change on these images (`Twin.limit`) where that is more, and at least 1e-4.
        own_noise: of the trained grids alone.
        images_changed: images whose predicted class is another than the network's.
        recorded_difference: largest |runtime - logits in the record|; None where the record has none, as before 0.4.
        recorded_limit: what that may be: ``limit``, and what last bits may change on those images where it is more.
        recorded_changed: of the images in the record, those whose predicted class is another than the trained network's.
    """

    difference: float
    noise: float
    limit: float
    own_noise: float
    images_changed: int = 0
    recorded_difference: float | None = None
    recorded_limit: float | None = None
    recorded_changed: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the runtime computes the same model."""
        near = self.recorded_difference is None or self.recorded_difference <= (self.recorded_limit or 0.0)
        return near and self.difference <= self.limit


@dataclass(frozen=True)
class Prover:
    """A prover holds the outputs of the fake-quantized network, and of the trained one, that runtimes are compared with."""

    images: Array
    truth: NDArray[np.float64]
    noise: float
    limit: float
    own_noise: float
    trained: RecordedLogits | None = None
    recorded_limit: float | None = None

    def compare(self, run: Callable[[Array], Array]) -> Proof:
        """Return the distance of a runtime that takes any number of images."""
        out = run(self.images)
        proof = Proof(_distance(out, self.truth), self.noise, self.limit, self.own_noise, _changed(out, self.truth))
        if self.trained is None:
            return proof
        again = run(self.trained.images)
        return replace(
            proof,
            recorded_difference=_distance(again, self.trained.logits),
            recorded_limit=self.recorded_limit,
            recorded_changed=_changed(again, self.trained.logits),
        )


def prover(network: nn.Module, model: PackedModel, images: Array, trained: RecordedLogits | None = None) -> Prover:
    """Evaluate the fake-quantized form of ``network`` with the stored weights on images (N, C, H, W), normalised."""
    twin, x = Twin(network, model.state(), model.sites, model.outputs), torch.from_numpy(images)
    own, deployed = twin.logits(x).numpy(), twin.logits(x, round_deployed).numpy()
    of_recorded = 0.0 if trained is None else twin.limit(torch.from_numpy(trained.images))
    quantized = bool(model.outputs) or any(site.act is not None for site in model.sites.values())
    ties = twin.limit(x) if quantized else 0.0
    twin.network.double()
    truth: NDArray[np.float64] = twin.logits(x.double()).numpy()
    own_noise = _distance(own, truth)
    noise = max(own_noise, _distance(deployed, truth))
    limit = max(WEIGHTS_ONLY_LIMIT, NOISE_FACTOR * noise, ties) if quantized else WEIGHTS_ONLY_LIMIT
    recorded_limit = None if trained is None else max(limit, of_recorded)
    return Prover(images, truth, noise, limit, own_noise=own_noise, trained=trained, recorded_limit=recorded_limit)


def _distance(logits: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    return float(np.abs(logits - truth).max())


def _changed(logits: NDArray[np.floating], truth: NDArray[np.floating]) -> int:
    return int((logits.argmax(1) != truth.argmax(1)).sum())
