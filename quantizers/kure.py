r"""KURE: a penalty that makes each layer's weights uniform, which rounds well at any width.

    L += weight mean over layers of (K(w) - target)^2,   K = mean(((w - mean w) / std w)^4),   target = 1.8, a uniform's

std is the unbiased one, as in the release; it matters for small tensors. ``train_float`` trains the float network and
rounds only to evaluate, which is the paper's setting; else the base rounds in training too.

Reference: Shkolnik et al., "Robust Quantization: One Model to Rule Them All", NeurIPS 2020, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .fake_quant import FakeQuant
from .layers import sites_of
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec

UNIFORM = 1.8


def kurtosis(w: Tensor) -> Tensor:
    """Compute the fourth standardised moment, a scalar; 0 where all weights are equal, and of one weight alone."""
    if w.numel() < 2:  # its deviation is undefined, and so would the gradient of the where be
        return w.new_zeros(())
    deviation = w.std()
    return torch.where(deviation > 0, ((w - w.mean()) / deviation.clamp_min(1e-12)).pow(4).mean(), 0.0)


class KUREQuant(OverQuant):
    """This fake quantizer tells the kurtosis of its weight.

    Args:
        inner: the base's fake quantizer.
        train_float: whether training sees the weight itself.
    """

    def __init__(self, inner: FakeQuant, *, train_float: bool) -> None:
        super().__init__(inner)
        self.train_float = train_float

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return the quantized weight, or x itself with ``train_float``."""
        return x if self.train_float else quantized

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``kurtosis``, K of the latent weight: 1.8 is a uniform distribution's, 0 one of equal weights."""
        return {**super().own(x), "kurtosis": float(kurtosis(x.detach()))}


class KURE(OverQuantizer):
    """KURE adds a penalty on the kurtosis of the weights to another quantizer.

    Args:
        spec: what to quantize.
        weight: of the penalty, at least 0; 1 in the release.
        target: of the kurtosis, at least 1; 1.8 is a uniform distribution's, 3 a normal one's.
        train_float: whether training sees the float weights, as in the paper; the scale then does not learn.
        options: the settings of `OverQuantizer`.
    """

    name = "kure"
    reference = "Shkolnik et al., Robust Quantization, NeurIPS 2020"
    meaning = "rounding, with a penalty that makes weights uniform"
    family = "penalty"

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        weight: float = 1.0,
        target: float = UNIFORM,
        train_float: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        if not weight >= 0 or not target >= 1:
            raise ConfigError(
                f"weight must be at least 0 and target at least 1, got {weight} and {target}; the release has 1 and 1.8"
            )
        self.weight, self.target, self.train_float = weight, target, train_float
        if train_float:
            self.beyond = "passed"

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make a `KUREQuant`."""
        return KUREQuant(inner, train_float=self.train_float)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the penalty, with the base's."""
        base = super().penalty(model)
        terms = [(kurtosis(site.latent) - self.target).square() for _, site in sites_of(model)]
        if not terms:
            return base
        own = self.weight * torch.stack(terms).mean()
        return own if base is None else own + base
