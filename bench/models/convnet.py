"""A small convolutional network with BatchNorm for images of 16 to 32 pixels."""

from __future__ import annotations

from torch import nn

from ...core.errors import ConfigError
from .base import DGModel


def convnet(shape: tuple[int, int, int], classes: int, *, width: int = 16) -> DGModel:
    """Build three 3x3 convolutions (stride 1, 2, 2), each with BatchNorm and ReLU, then average pooling.

    Args:
        shape: (C, H, W) of the images.
        classes: number of classes.
        width: channels of the first layer, at least 1; the others have 2 and 4 times as many.
    """
    if width < 1:
        raise ConfigError(f"model.width must be at least 1, got {width}; write for example model.width=16")
    layers: list[nn.Module] = []
    channels = shape[0]
    for out, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        layers += [nn.Conv2d(channels, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    featurizer = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return DGModel(featurizer, channels, classes, stages=("2", "5"))
