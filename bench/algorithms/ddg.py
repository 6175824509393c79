r"""DDG without its GAN: disentangle what decides from how an image looks, by reconstruction under a constraint.

    L = CE(f(x), y) + 12 JS(x, x_1, x_2) + lambda (mean relu(r_1 - m) + mean relu(r_2 - m))
    r_k = mean over pixels of |decode(E(gray x), features(x_k)) - x|,  one number an image
    lambda <- clip(lambda + eta (mean r_1 - m), 0, 1)  before it is used,  m = 0.025,  eta = 0.01,  lambda_0 = 0.5

x_1 and x_2 are AugMix views of x. The encoder E sees the grey image, so that it carries the shape; the classifier's features
of a view enter the decoder as the statistics of its normalised maps (AdaIN), so that they carry the rest. The dual variable
lambda rises while reconstruction is worse than the margin and is part of the checkpoint.

The paper's form with a GAN trains, before that, 25,000 steps of generator against discriminator at 224 pixels, then takes
swapped images, content of one and look of another, into the classification loss: more than seven times the cost. That is
`ddg_gan`; this is the authors' variant that needs no such stage, with AugMix in its place. Our reading: the terms of that variant
are put together here from a description, not from a text of the paper; the generator is small (two strided convolutions and
back, ``width`` channels), starts untrained and moves at the protocol's learning rate; every image is its own partner, where
the paper pairs images of a class.

Reference: Zhang et al., "Towards Principled Disentanglement for Domain Generalization", CVPR 2022 (hlzhang109/DDG, MIT).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .augmix_jsd import AugMixJSD, jensen_shannon
from .base import Algorithm, image_channels

_EPS = 1e-5


def normalised_maps(x: Tensor) -> Tensor:
    """Bring each channel of each image (N, C, H, W) to mean 0 and variance 1."""
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) / (var + _EPS).sqrt()


class Generator(nn.Module):
    """This generator rebuilds an image from its grey version and a vector of features.

    Args:
        channels: of the images.
        features: width of the vectors.
        width: channels of the encoder's first layer; the second has twice as many.
    """

    def __init__(self, channels: int, features: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        )
        self.look = nn.Linear(features, 4 * width)
        self.middle = nn.Conv2d(2 * width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Rebuild images x (N, C, H, W) with the look in features (N, d)."""
        content = normalised_maps(self.encoder(x.mean(1, keepdim=True)))
        scale, shift = self.look(features)[:, :, None, None].chunk(2, 1)
        maps = F.interpolate((content * (1 + scale) + shift).relu(), scale_factor=2.0)
        out: Tensor = self.last(F.interpolate(self.middle(maps).relu(), size=x.shape[2:]))
        return out


def reconstruction(made: Tensor, x: Tensor) -> Tensor:
    """Compute r (N,): the mean absolute difference of each image."""
    return (made - x).abs().flatten(1).mean(1)


class Constrained(Algorithm):
    """An algorithm whose generator must rebuild images within a margin; `add_generator` is called in its ``__init__``.

    Attributes:
        generator: the optimizer has its parameters in a group of their own.
        multiplier: lambda, the dual variable, 0 to 1, a part of the checkpoint.
    """

    multiplier: Tensor

    def add_generator(self, margin: float, eta: float, multiplier: float, width: int) -> None:
        """Make the generator, and the dual variable at its first value, after the construction of `Algorithm`."""
        self.margin, self.eta = margin, eta
        self.generator = Generator(image_channels(self.network), self.network.classifier.in_features, width)
        self.optimizer.add_param_group({"params": list(self.generator.parameters())})
        self.register_buffer("multiplier", torch.tensor(float(multiplier)))

    def moved_multiplier(self, difference: Tensor) -> Tensor:
        """Take the dual variable's step by the differences r (N,) and return its new value, a scalar without gradient."""
        moved = self.multiplier + self.eta * (difference.mean().detach() - self.margin)
        self.multiplier.copy_(moved.clamp(0, 1))
        return self.multiplier.clone()


class DDG(Constrained, AugMixJSD):
    """It is AugMix with consistency, under the constraint that features and shape rebuild the image.

    Args:
        margin: m, mean difference that is allowed, in normalised pixels, >= 0; the authors' AugMix variant uses 0.025.
        eta: step of the dual variable, >= 0; the paper uses 0.01.
        multiplier: lambda_0, 0 to 1; the paper uses 0.5.
        width: of the generator, >= 1.
        options: as for `AugMixJSD`.
    """

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        margin: float = 0.025,
        eta: float = 0.01,
        multiplier: float = 0.5,
        width: int = 16,
        **options: Any,
    ) -> None:
        if not (margin >= 0 and eta >= 0 and 0 <= multiplier <= 1 and width >= 1):
            raise ConfigError(
                "algorithm.ddg needs margin and eta of at least 0, multiplier from 0 to 1 and width of at least 1, got "
                f"{margin}, {eta}, {multiplier} and {width}; write 0.025, 0.01, 0.5 and 16"
            )
        super().__init__(network, num_domains, optimizer, **options)
        self.add_generator(margin, eta, multiplier, width)

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute risk, consistency and the constraint with its present multiplier."""
        images, y = self.threefold(minibatches)
        x = images[: len(y)]
        features = self.network.featurizer(images)
        logits = list(self.network.classifier(features).chunk(3))
        risk, consistency = F.cross_entropy(logits[0], y), jensen_shannon(logits)
        differences = [reconstruction(self.generator(x, f), x) for f in features.chunk(3)[1:]]
        excess = torch.stack([(r - self.margin).relu().mean() for r in differences]).sum()
        loss = risk + self.weight * consistency + self.moved_multiplier(differences[0]) * excess
        return {"loss": loss, "risk": risk, "consistency": consistency, "excess": excess}
