r"""DDG with its GAN: images with the content of one and the look of another are classified by their content.

With the generator G(content of x, look in features) of `ddg`, a partner p(i) for each image (a permutation of the batch), another
image s(i) of its class, f the features and all means over the batch:

    updates 1 to T, the network standing still
        x_i' = G(x_i, f(x_p(i)))
        discriminator:  sum over scales of  mean D(x')^2 + mean (D(x) - 1)^2 + 0.01 mean |d sum D(x) / dx|^2
        generator:      sum over scales of  2 mean (D(x') - 1)^2 + 0.5 mean |G(x, f(x)) - x| + w mean |x'' - x|
        x'' has the content of x' and the look of the swapped image that was given the look of x
        w = min(2, 0.005 max(0, t - 0.2 T))
    afterwards, network and generator
        L = CE(f(x), y) + CE(f(x_s), y_s) + lambda mean relu(r - m) + 0.5 CE(f(x'), y),   r_i = mean |G(x_i, f(x_s(i))) - x_i|
        lambda <- clip(lambda + eta (mean r - m), 0, 1)  before it is used,  m = 0.25,  eta = 0.01,  lambda_0 = 0.5

The first stage takes T of the protocol's steps, in which nothing learns to classify, so T belongs below protocol.start_step. The
authors train it for 25,000 steps at 224 pixels; here it is meant for small images.

The losses are those of the authors' code, written anew from their equations. Ours: one batch stands for their two, so that L is
half of theirs; the generator and the discriminator are small (`width`) and move at the protocol's learning rate, without their
schedule; the cycle's gradient always goes through encoder and image, where theirs draws one of the two; swapped images
are made by the generator and the features of the moment, without gradient, where theirs keeps both from the end of the first
stage.

Reference: Zhang et al., "Towards Principled Disentanglement for Domain Generalization", CVPR 2022 (hlzhang109/DDG, MIT);
least squares: Mao et al., ICCV 2017; penalty on the gradient: Mescheder et al., ICML 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.host import sent
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..transforms.base import Minibatches
from .base import Terms, concatenate, image_channels
from .counting import Counting
from .ddg import Constrained, reconstruction

SCALES = 2
_GRADIENT_PENALTY = 0.01
_RECONSTRUCTION = 0.5
_SWAPPED = 0.5
_CYCLE_RATE, _CYCLE_MOST, _CYCLE_FROM = 0.005, 2.0, 0.2


class Discriminator(nn.Module):
    """This discriminator tells real images from made ones, patch by patch, at full and at half size.

    Args:
        channels: of the images.
        width: channels of the first layer; the second has twice as many.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 3, 2, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 2 * width, 3, 2, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(2 * width, 1, 1),
            )
            for _ in range(SCALES)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Judge images (N, C, H, W); returns a map (N, 1, h, w) for each scale."""
        judged = []
        for scale in self.scales:
            judged.append(scale(x))
            x = F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False)
        return judged


def told_apart(discriminator: nn.Module, made: Tensor, x: Tensor) -> Tensor:
    """Compute the discriminator's loss on made and on real images, with the penalty on its gradient at the real ones."""
    real = x.detach().requires_grad_()
    loss = made.new_zeros(())
    for on_made, on_real in zip(discriminator(made), discriminator(real), strict=True):
        (gradient,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        penalty = gradient.square().flatten(1).sum(1).mean()
        loss = loss + on_made.square().mean() + (on_real - 1).square().mean() + _GRADIENT_PENALTY * penalty
    return loss


def deceiving(discriminator: nn.Module, made: Tensor) -> Tensor:
    """Compute what the generator minimises so that made images pass for real."""
    return torch.stack([2 * (judged - 1).square().mean() for judged in discriminator(made)]).sum()


def of_the_same_class(y: Tensor) -> Tensor:
    """Draw for each label (N,) the place of an image with that label, its own where there is no other choice.

    Of labels as probabilities (N, classes) the likeliest class counts.
    """
    classes = y if y.dim() == 1 else y.argmax(1)
    draws = sent(torch.rand(len(y), len(y)), y.device) + 1
    return (draws * (classes[:, None] == classes[None, :])).argmax(1)


class DDGGAN(Constrained, Counting):
    """It first trains a generator against a discriminator, then classifies under the constraint, on swapped images too.

    Args:
        gan_steps: T, updates of the first stage, >= 0.
        margin: m, mean difference that is allowed, in normalised pixels, >= 0; the authors use 0.25.
        eta: step of the dual variable, >= 0; the paper uses 0.01.
        multiplier: lambda_0, 0 to 1; the paper uses 0.5.
        width: of generator and discriminator, >= 1.
    """

    def __init__(
        self,
        network: DGModel,
        num_domains: int,
        optimizer: OptimizerFactory,
        *,
        gan_steps: int = 20,
        margin: float = 0.25,
        eta: float = 0.01,
        multiplier: float = 0.5,
        width: int = 16,
    ) -> None:
        if not (min(gan_steps, margin, eta) >= 0 and 0 <= multiplier <= 1 and width >= 1):
            raise ConfigError(
                "algorithm.ddg_gan needs gan_steps, margin and eta of at least 0, multiplier from 0 to 1 and width of at "
                f"least 1, got {gan_steps}, {margin}, {eta}, {multiplier} and {width}; write 20, 0.25, 0.01, 0.5 and 16"
            )
        super().__init__(network, num_domains, optimizer)
        self.gan_steps = gan_steps
        self.add_generator(margin, eta, multiplier, width)
        self.discriminator = Discriminator(image_channels(network), width)
        self.optimizer.add_param_group({"params": list(self.discriminator.parameters())})
        self.start_counting()

    def descend(self, minibatches: Minibatches) -> Terms:
        """Take one step of each player in the first stage, one of network and generator afterwards."""
        x, y = concatenate(minibatches)
        features, partner, made = self.swap(x)
        if self.now > self.gan_steps:
            moving = [*self.network.parameters(), *self.generator.parameters()]
            return self.step(lambda: self.classified(x, y, made), moving)
        judged = self.step(
            lambda: {"loss": told_apart(self.discriminator, made, x)}, self.discriminator.parameters(), penalised=False
        )
        generated = self.step(
            lambda: self.generated(x, features, partner), self.generator.parameters(), penalised=False
        )
        return {**generated, "discriminator": judged["loss"]}

    @torch.no_grad()
    def swap(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images' features (N, d), each one's partner (N,) and the images with the partners' look."""
        features, partner = self.network.featurizer(x), sent(torch.randperm(len(x)), x.device)
        return features, partner, self.generator(x, features[partner])

    def generated(self, x: Tensor, features: Tensor, partner: Tensor) -> Terms:
        """Compute what the generator minimises in the first stage."""
        made = self.generator(x, features[partner])
        deceived = deceiving(self.discriminator, made)
        rebuilt = reconstruction(self.generator(x, features), x).mean()
        loss = deceived + _RECONSTRUCTION * rebuilt
        weight = min(_CYCLE_MOST, _CYCLE_RATE * max(0.0, self.now - _CYCLE_FROM * self.gan_steps))
        if weight > 0:
            back = self.generator(made, self.network.featurizer(made)[partner.argsort()])
            loss = loss + weight * reconstruction(back, x).mean()
        return {"loss": loss, "deceived": deceived, "rebuilt": rebuilt}

    def classified(self, x: Tensor, y: Tensor, made: Tensor) -> Terms:
        """Compute the second stage's loss on images and swapped images, with the constraint's present multiplier."""
        features = self.network.featurizer(torch.cat([x, made]))
        logits, on_made = self.network.classifier(features).chunk(2)
        alike = of_the_same_class(y)
        risk = F.cross_entropy(logits, y) + F.cross_entropy(logits[alike], y[alike])
        difference = reconstruction(self.generator(x, features[: len(x)][alike]), x)
        excess, swapped = (difference - self.margin).relu().mean(), F.cross_entropy(on_made, y)
        loss = risk + self.moved_multiplier(difference) * excess + _SWAPPED * swapped
        return {"loss": loss, "risk": risk, "excess": excess, "swapped": swapped}

    def losses(self, minibatches: Minibatches) -> Terms:
        """Compute the second stage's loss, with images that are swapped now."""
        x, y = concatenate(minibatches)
        return self.classified(x, y, self.swap(x)[2])
