r"""ARM (adaptive risk minimization, with a context network), evaluated without its adaptation.

    c_s = mean over a support set s of g(x),   g a small convolutional network from images to images
    L = mean cross-entropy of  network(x + c_s - c),   c the mean of g(x) over all images of the update

A support set is ``support`` images of one source domain. **Evaluation has source context only**: a new domain's context
is the sources' mean, the deviation is 0 and the network alone predicts each image by itself. The paper and DomainBed
adapt at test time instead: there the context of a target image is averaged over a batch of *target* images. That is
transductive: it is not domain generalization as the protocol has it (no target image takes part in another's prediction),
it depends on batch size and order, and there is no function of an image to pack, prove and deploy. So this row shows what
training with contexts does to the network, not what adaptation at test time gains; say so where you quote it.

Our reading beside that: the context is added to the image instead of an extra input channel, so that the network keeps
its input, pretrained first layer and input quantizer; and g has no BatchNorm, whose frozen statistics would be those of no
data. g has DomainBed's shape otherwise: 5x5 convolutions, two hidden layers with ReLU. At 224 pixels it costs three
times ResNet-18. In DomainBed g is created after the optimizer, which therefore never trains it; here it is trained.

Reference: Zhang et al., "Adaptive Risk Minimization: Learning to Adapt to Domain Shift", NeurIPS 2021 (ARM-CML); defaults
of DomainBed (MIT).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Algorithm, concatenate, image_channels, split_domains


def context_network(channels: int, width: int) -> nn.Sequential:
    """Return g: images (N, C, H, W) to images of the same shape."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, channels, 5, padding=2),
    )


def shared(context: Tensor, support: int) -> Tensor:
    """Replace each row (N, ...) by the mean of its support set: ``support`` rows, or all where they do not divide N."""
    size = support if len(context) % support == 0 else len(context)
    means = context.reshape(-1, size, *context.shape[1:]).mean(1)
    return means.repeat_interleave(size, 0)


class ARM(Algorithm):
    """It trains with a context for each support set; it needs at least two source domains and a convolutional network.

    Args:
        support: images of a support set, >= 1; DomainBed uses 8, which is also its batch size for ARM.
        width: hidden channels of g, >= 1; DomainBed uses 64.
    """

    min_domains: ClassVar[int] = 2

    def __init__(
        self, network: DGModel, num_domains: int, optimizer: OptimizerFactory, *, support: int = 8, width: int = 64
    ) -> None:
        if support < 1 or width < 1:
            raise ConfigError(
                f"algorithm.arm needs support and width of at least 1, got {support} and {width}; DomainBed uses 8 and 64"
            )
        super().__init__(network, num_domains, optimizer)
        self.support = support
        self.context = context_network(image_channels(network), width)
        self.optimizer.add_param_group({"params": list(self.context.parameters())})

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy of the images, each with its set's deviation added."""
        x, y = concatenate(minibatches)
        context = torch.cat([shared(c, self.support) for c in split_domains(self.context(x), minibatches)])
        return {"loss": F.cross_entropy(self.predict(x + context - context.mean(0)), y)}
