r"""AugMix with its consistency loss: the same prediction for an image and two AugMix views of it.

    L = CE(f(x), y) + lambda JS(p, p_1, p_2),   JS = mean over views of KL(p_i || M),   M = (p + p_1 + p_2) / 3

averaged over images, M not below 1e-7. A view mixes ``chains`` chains of one to three random operations (rotation, shear,
translation, posterize, solarize, equalize, autocontrast: none of the corruptions of ImageNet-C) by Dirichlet weights, and
the result with the image by a Beta weight. The views are torchvision's `AugMix` on the images as the protocol has augmented
them, back in 0..255 and rounded. All three go through the network as one batch, as in the paper's code, so live BatchNorm
and quantizer ranges see all of them; a step costs three.

Our reading: weights are drawn for each image, but operations for each domain's batch and view (torchvision on a batch;
image by image it would take longer than the training).

Reference: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty", ICLR 2020,
section 3; lambda 12, severity 3, three chains, alpha 1 of its ImageNet runs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import AugMix

from ...core.errors import ConfigError
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, concatenate

_SMALLEST = 1e-7


def jensen_shannon(logits: list[Tensor]) -> Tensor:
    """Compute the mean over images of the Jensen-Shannon divergence of several predictions, each logits (N, classes)."""
    logs = [z.log_softmax(1) for z in logits]
    mixture = torch.stack([p.exp() for p in logs]).mean(0).clamp_min(_SMALLEST).log()
    return torch.stack([(p.exp() * (p - mixture)).sum(1).mean() for p in logs]).mean()


class AugMixJSD(Algorithm):
    """It is ERM with consistency over AugMix views.

    Args:
        weight: lambda, >= 0; the paper uses 12.
        severity: of the operations, 1 to 10; the paper uses 3.
        chains: of operations in a view, >= 1; the paper uses 3.
    """

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        weight: float = 12.0,
        severity: int = 3,
        chains: int = 3,
    ) -> None:
        if not weight >= 0 or not 1 <= severity <= 10 or chains < 1:
            raise ConfigError(
                "algorithm.augmix_jsd needs weight of at least 0, severity from 1 to 10 and chains of at least 1, got "
                f"{weight}, {severity} and {chains}; the paper uses 12, 3 and 3"
            )
        super().__init__(network, num_domains, optimizer)
        self.weight = weight
        self.augment = AugMix(severity=severity, mixture_width=chains, all_ops=False)

    @torch.no_grad()
    def view(self, x: Tensor) -> Tensor:
        """Return an AugMix view of normalised images (N, 1 or 3, H, W), normalised again."""
        if x.shape[1] not in (1, 3):
            raise ConfigError(
                f"AugMix needs images of 1 or 3 channels, these have {x.shape[1]}; use another data set or algorithm"
            )
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in self.statistics)
        pixels = (x * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
        out: Tensor = (self.augment(pixels).to(x.dtype) / 255 - mean) / std
        return out

    def threefold(self, minibatches: Minibatches) -> tuple[Tensor, Tensor]:
        """Return all images and two views of each, one after the other (3 N, C, H, W), and the images' labels (N)."""
        x, y = concatenate(minibatches)
        views = [torch.cat([self.view(images) for images, _ in minibatches]) for _ in range(2)]
        return torch.cat([x, *views]), y

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy plus lambda times the divergence of the three views."""
        images, y = self.threefold(minibatches)
        logits = list(self.predict(images).chunk(3))
        risk, consistency = F.cross_entropy(logits[0], y), jensen_shannon(logits)
        return {"loss": risk + self.weight * consistency, "risk": risk, "consistency": consistency}
