r"""ZAQ: data-free. A generator looks for images on which the quantized network differs from the float one, which it unlearns.

    D(x) = mean |q(x) - p(x)| + relations sum over stages of (mean |S(f_q) - S(f_p)| + mean |C(f_q) - C(f_p)|)
    S(X) = X + 0.1 X softmax(X^T X)^T,   C(X) = X + 0.1 softmax(max - X X^T) X,   softmax and max along rows
    repeat: ``steps`` = 5 steps of q that lower D(g(z)), one step of g that lowers -D(g(z)) - activity mean |f_p|,   z ~ N(0, 1)

q: the quantized, p: the float network, by their logits; f: feature maps, X (C, HW) one of them divided by its length at each
position; the activity is that of the last stage. Both rates fall to a tenth after one and two thirds of the iterations.

As in the release: the players, D, the numbers of steps, when the rates fall, the generator but for its width and its
enlargement to any size of images. Ours: what q learns is where each weight lies on its grid, by Adam in units of the
scale (`learned_codes`); the rest of the network, its BatchNorm too, stays the float one's, as in all post-training methods
here. A stage is what has one resolution (`feature_maps`); maps of more than 8 positions a side are averaged to 8, since S takes
the square of their number. q learns with float inputs, whose ranges are then those of the float network on generated
images. Rates and budget: by default 100 iterations of 32 images, the release has 18,000 of 256.

No image is read, neither of a source nor of the target domain. What is known of images is their shape and, by the
generator's last layer, that each channel of the network's inputs has mean 0 and variance 1.

Reference: Liu, Zhang and Wang, "Zero-shot Adversarial Quantization", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import MultiStepLR

from ..core.errors import ConfigError
from .base import Plan
from .descent import descend
from .feature_maps import FeatureMaps, Forwarded
from .image_generator import ImageGenerator
from .learned_codes import LearnedCodes, Weights, computing_with
from .post_training import PostTraining, set_quantized
from .spec import QuantSpec, check_positive

SIDE = 8
DECAY = 0.1
RANGE_BATCHES = 4


def relations_of(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Compute S and C of feature maps (N, C, H, W), each of shape (N, C, positions)."""
    if max(feature.shape[2:]) > SIDE:
        feature = F.adaptive_avg_pool2d(feature, (min(feature.shape[2], SIDE), min(feature.shape[3], SIDE)))
    x = F.normalize(feature, dim=1).flatten(2)
    positions = torch.softmax(x.mT @ x, 2)
    energy = x @ x.mT
    channels = torch.softmax(energy.amax(2, keepdim=True) - energy, 2)
    return x + 0.1 * x @ positions.mT, x + 0.1 * channels @ x


def relation_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Compute a stage's term of D from the feature maps (N, C, H, W) of both networks."""
    pairs = zip(relations_of(ours), relations_of(theirs), strict=True)
    return sum(((a - b).abs().mean() for a, b in pairs), ours.new_zeros(()))


class ZAQ(PostTraining):
    """ZAQ learns the codes of a finished float network on images that a generator makes against it.

    Args:
        spec: what to quantize.
        iterations: of both players, at least 1; each has a pass of the float network for each pass of the quantized one.
        steps: of the quantized network for one of the generator, at least 1.
        batch: images of a pass, at least 2.
        lr: rate of the weights, in scales, above 0.
        generator_lr: rate of the generator, above 0.
        relations: weight of the feature maps in D, at least 0.
        activity: weight of the float network's last map in the generator's loss, at least 0.
        options: the settings of `PostTraining`.
    """

    name = "zaq"
    reference = "Liu et al., Zero-shot Adversarial Quantization, CVPR 2021"
    meaning = "rounding the finished float network as changes its outputs least on images made against it"
    family = "data-free"
    needs_inputs = False

    _shape: tuple[int, int, int]

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        iterations: int = 100,
        steps: int = 5,
        batch: int = 32,
        lr: float = 0.01,
        generator_lr: float = 1e-3,
        relations: float = 1.0,
        activity: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        least = {"iterations": (iterations, 1), "steps": (steps, 1), "batch": (batch, 2)}
        for name, (value, bound) in {**least, "relations": (relations, 0), "activity": (activity, 0)}.items():
            if not value >= bound:
                raise ConfigError(f"{name} must be at least {bound}, got {value}; leave it out for the default")
        check_positive(lr=lr, generator_lr=generator_lr)
        self.iterations, self.steps, self.batch = iterations, steps, batch
        self.lr, self.generator_lr, self.relations, self.activity = lr, generator_lr, relations, activity

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the quantizers; of ``example`` its shape and device count, not its values."""
        channels, height, width = example.shape[1:]
        self._shape = channels, height, width
        return super().prepare(model, self._images(example.device))

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Quantize the network as it is now; ``batches`` are not read."""
        super().calibrate(model, [self._images(next(model.parameters()).device)])

    def _images(self, device: torch.device) -> Tensor:
        """The first images of a generator that has learned nothing."""
        return ImageGenerator(self._shape, self.seed).to(device).draw(self.batch).detach()

    @torch.enable_grad()
    def round_weights(self, model: nn.Module, batches: Sequence[Tensor]) -> None:
        """Let the players play, then take the codes, and the ranges of inputs on the generator's last images."""
        set_quantized(model, False)
        network, codes = FeatureMaps(model, batches[0]), LearnedCodes(model)
        generator = ImageGenerator(self._shape, self.seed).to(batches[0].device)
        learns = torch.optim.Adam(codes.places.values(), self.lr)
        attacks = torch.optim.Adam(generator.parameters(), self.generator_lr)
        falls = [self.iterations // 3, 2 * self.iterations // 3]
        schedules = [MultiStepLR(optimizer, falls, DECAY) for optimizer in (learns, attacks)]
        for _ in range(self.iterations):
            for _ in range(self.steps):
                with torch.no_grad():
                    images = generator.draw(self.batch)
                    theirs = network(images)
                descend(learns, self.student_loss(codes.weights(), network, images, theirs))
            descend(attacks, self._generator_loss(codes.weights(), network, generator.draw(self.batch)))
            for schedule in schedules:
                schedule.step()
        with torch.no_grad():
            codes.settle(self._gain(codes, network, generator.draw(self.batch)))
            self._set_ranges(model, [generator.draw(self.batch) for _ in range(RANGE_BATCHES)])

    def distance(self, ours: Forwarded, theirs: Forwarded) -> Tensor:
        """Compute D from what both networks compute of the same images."""
        total = (ours.logits - theirs.logits).abs().mean()
        if self.relations:
            for pair in zip(ours.maps, theirs.maps, strict=True):
                total = total + self.relations * relation_distance(*pair)
        return total

    def student_loss(self, weights: Weights, network: FeatureMaps, images: Tensor, theirs: Forwarded) -> Tensor:
        """Compute what the quantized network lowers: D at its weights, given the float network's output on the images."""
        with computing_with(weights):
            return self.distance(network(images), theirs)

    def _generator_loss(self, weights: Weights, network: FeatureMaps, images: Tensor) -> Tensor:
        theirs = network(images)
        with computing_with({quant: weight.detach() for quant, weight in weights.items()}):
            loss = -self.distance(network(images), theirs)
        return loss - self.activity * theirs.maps[-1].abs().mean() if theirs.maps else loss

    def _gain(self, codes: LearnedCodes, network: FeatureMaps, images: Tensor) -> float:
        """The mean |q - p| of the codes learned over that of the nearest."""
        theirs, found = network(images).logits, []
        for weights in (codes.weights(), codes.nearest()):
            with computing_with(weights):
                found.append(float((network(images).logits - theirs).abs().mean()))
        return found[0] / found[1] if found[1] > 0 else 1.0
