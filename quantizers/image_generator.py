"""A network that turns noise into images of a given size, for methods that have no images of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CODE = 256
"""Numbers that an image is made from."""


class ImageGenerator(nn.Module):
    """The generator maps codes (N, 256) to images (N, C, H, W), each channel of mean 0 and variance 1 over the batch.

    A linear layer makes maps of a quarter of the side, which are twice enlarged and convolved. The second enlargement goes
    to the size wanted, so that it need be neither square nor a multiple of 4.

    Args:
        shape: (C, H, W) of the images.
        seed: of the weights and of the codes; no other generator is drawn from.
        width: channels of the last inner map; twice as many before it.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int, *, width: int = 32) -> None:
        super().__init__()
        channels, size = shape[0], (shape[1], shape[2])
        half, quarter = ((-(-size[0] // n), -(-size[1] // n)) for n in (2, 4))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.start = nn.Linear(CODE, 2 * width * quarter[0] * quarter[1])
            self.body = nn.Sequential(
                nn.Unflatten(1, (2 * width, *quarter)),
                nn.BatchNorm2d(2 * width),
                nn.Upsample(half),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2),
                nn.Upsample(size),
                nn.Conv2d(2 * width, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, channels, 3, padding=1),
                nn.Tanh(),
                nn.BatchNorm2d(channels, affine=False),
            )
        self.noise = torch.Generator().manual_seed(seed)

    def forward(self, codes: Tensor) -> Tensor:
        """Compute images from codes."""
        out: Tensor = self.body(self.start(codes))
        return out

    def draw(self, count: int) -> Tensor:
        """Make ``count`` new images, at least 2."""
        codes = torch.randn(count, CODE, generator=self.noise)
        out: Tensor = self(codes.to(self.start.weight.device))
        return out
