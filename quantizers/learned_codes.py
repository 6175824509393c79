r"""Codes that learn over a network whose own weights stay: each weight is a place on its grid.

code = clip(round(u), qmin, qmax),   w_q = s (code - z),   start: u = w / s + z;   dw_q/du = s where qmin <= u <= qmax, else 0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .insertion import sites_of
from .post_training import PostTrainingQuant

Weights = Mapping[PostTrainingQuant, Tensor]
"""Weights by the fake quantizer whose output they are to be."""


class LearnedCodes:
    """The places u of all quantized weights of a network, which alone train.

    Args:
        model: prepared by a post-training quantizer.
    """

    def __init__(self, model: nn.Module) -> None:
        self.rows = {site.weight_quant: site.weight_quant.rows(site.latent) for _, site in sites_of(model)}
        self.places: dict[PostTrainingQuant, nn.Parameter] = {}
        for quant, rows in self.rows.items():
            start = rows.weight / rows.scale + rows.zero_point
            self.places[quant] = nn.Parameter(start.float().reshape(quant.codes.shape))

    def weights(self) -> Weights:
        """Compute the quantized weights, with their gradient by the places."""
        return {quant: self._weight(quant, place) for quant, place in self.places.items()}

    def nearest(self) -> Weights:
        """Compute the weights of the nearest codes, without a gradient."""
        return {q: rows.value(rows.nearest()).float().reshape(q.codes.shape) for q, rows in self.rows.items()}

    def _weight(self, quant: PostTrainingQuant, place: Tensor) -> Tensor:
        rows = self.rows[quant]
        inside = (place >= rows.codes.qmin) & (place <= rows.codes.qmax)
        passed = torch.where(inside, place, place.detach())
        codes = place.detach().round().clamp(*rows.codes) + (passed - passed.detach())
        scale, zero = (t.float().reshape(place.shape) for t in (rows.scale, rows.zero_point))
        weight: Tensor = (codes - zero) * scale
        return weight

    @torch.no_grad()
    def settle(self, error_ratio: float) -> None:
        """Give each site the codes of its places, and ``error_ratio`` for its audit."""
        for quant, place in self.places.items():
            quant.take(place.round().clamp(*self.rows[quant].codes), error_ratio=error_ratio)


@contextmanager
def computing_with(weights: Weights) -> Iterator[None]:
    """Let the network of these fake quantizers compute with the weights given within the context."""
    for quant, weight in weights.items():
        quant.soft = weight
    try:
        yield
    finally:
        for quant in weights:
            quant.soft = None
