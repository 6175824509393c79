r"""MixStyle: give feature maps the channel statistics of a mixture with another image of the batch.

    x' = sigma_mix * (x - mu) / sigma + mu_mix,   mu_mix = lambda mu + (1 - lambda) mu[partner],   sigma_mix likewise

mu and sigma are per image and channel over height and width (unbiased variance, 1e-6 inside the root) and carry no
gradient; lambda ~ Beta(alpha, alpha) per image; with probability 1 - p a layer leaves its batch alone. Active in
training only. Placed by forward hooks, so neither modules nor state-dict keys change; what a hook returns is what the
next layer's input quantizer sees.

Reference: Zhou et al., "Domain Generalization with MixStyle", ICLR 2021 (KaiyangZhou/Dassl.pytorch, MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, UnknownNameError
from ...core.host import sent
from ..models.base import DGModel
from .base import Transform

Partner = Literal["random", "crossdomain"]
_EPS = 1e-6


def partners(count: int, how: Partner) -> Tensor:
    """Return the index (count,) of each image's partner, any image or one from the other half of the batch."""
    if how == "random":
        return torch.randperm(count)
    second, first = torch.arange(count - 1, -1, -1).chunk(2)
    return torch.cat([second[torch.randperm(len(second))], first[torch.randperm(len(first))]])


def mix_styles(x: Tensor, weight: Tensor, partner: Tensor) -> Tensor:
    """Mix styles by given draws.

    Args:
        x: features (N, C, H, W) with more than one position.
        weight: lambda (N, 1, 1, 1), 0 to 1; 1 keeps the own style.
        partner: index (N,).
    """
    var, mu = torch.var_mean(x.detach(), (2, 3), keepdim=True)
    sigma = (var + _EPS).sqrt()
    mixed_mu = weight * mu + (1 - weight) * mu[partner]
    mixed_sigma = weight * sigma + (1 - weight) * sigma[partner]
    return mixed_sigma * ((x - mu) / sigma) + mixed_mu


class MixStyle(Transform):
    """It mixes styles after the first blocks of the network.

    Args:
        p: probability that a layer mixes its batch, 0 to 1.
        alpha: of the Beta distribution, > 0.
        partner: ``random``, or ``crossdomain``: from the other half of the batch.
        layers: names of the modules, below the featurizer, whose outputs are mixed; None: the network's ``stages``.
    """

    def __init__(
        self, *, p: float = 0.5, alpha: float = 0.1, partner: Partner = "random", layers: Sequence[str] | None = None
    ) -> None:
        if not 0 <= p <= 1 or not alpha > 0:
            raise ConfigError(
                f"transform.mixstyle needs p from 0 to 1 and alpha above 0, got {p} and {alpha}; the paper uses 0.5 and 0.1"
            )
        self.partner: Partner = partner
        self.p, self.alpha, self.layers = p, alpha, layers

    def attach(self, network: DGModel) -> None:
        """Hook the layers; ConfigError where the network names none or has none of that name."""
        names = tuple(self.layers or network.stages)
        if not names:
            raise ConfigError(
                "transform mixstyle needs feature maps to mix, and this network names none; write for example "
                "transform.mixstyle.layers=[layer1,layer2]"
            )
        modules = dict(network.featurizer.named_modules())
        for name in names:
            if name not in modules:
                raise UnknownNameError("layer of the featurizer", name, [n for n in modules if n])
            modules[name].register_forward_hook(self._hook)

    def _hook(self, module: nn.Module, _inputs: Any, x: Tensor) -> Tensor:
        if not module.training:
            return x
        if x.dim() != 4:
            raise ConfigError(
                f"transform mixstyle mixes feature maps (N, C, H, W), got shape {tuple(x.shape)}; choose other layers"
            )
        if float(torch.rand(())) >= self.p:
            return x
        weight = torch.distributions.Beta(self.alpha, self.alpha).sample((len(x), 1, 1, 1))
        return mix_styles(x, sent(weight.to(x.dtype), x.device), sent(partners(len(x), self.partner), x.device))
