"""DomainBed's network for MNIST-sized images: no BatchNorm, so averaging and quantizers need no special care.

Reference: Gulrajani and Lopez-Paz, "In Search of Lost Domain Generalization", ICLR 2021 (DomainBed's MNIST_CNN, MIT).
"""

from __future__ import annotations

from torch import nn

from .base import DGModel

FEATURES = 128


def mnist_cnn(shape: tuple[int, int, int], classes: int) -> DGModel:
    """Build 3x3 convolutions C -> 64 -> 128 (stride 2) -> 128 -> 128, each with ReLU, GroupNorm(8), then pooling.

    Args:
        shape: (C, H, W) of the images, 28 x 28 for MNIST; inputs in 0..1.
        classes: number of classes.
    """
    layers: list[nn.Module] = []
    channels = shape[0]
    for out, stride in ((64, 1), (FEATURES, 2), (FEATURES, 1), (FEATURES, 1)):
        layers += [nn.Conv2d(channels, out, 3, stride, padding=1), nn.ReLU(), nn.GroupNorm(8, out)]
        channels = out
    featurizer = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return DGModel(featurizer, FEATURES, classes, stages=("2", "5", "8"))
