"""MobileNetV1 with the key names of timm and TensorFlow's padding, whole or without its last block.

Thirteen depthwise-separable blocks after a strided convolution, BatchNorm with eps 1e-3 and ReLU6 throughout; 1024
features, also without the last block (``blocks=12``), since the block before it widens.

References: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv 1704.04861; key names of timm's mobilenetv1_100.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import ConfigError
from .base import DGModel, normalisation
from .weights import load_backbone

LAYOUT = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
"""(channels, blocks, stride of the first block) of each stage."""
ALL = sum(blocks for _, blocks, _ in LAYOUT)
_BN_EPS = 1e-3


class SameConv2d(nn.Conv2d):
    """This 3x3 convolution is padded as TensorFlow's SAME: the odd pixel goes to the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        left, right, top, bottom = pads
        if (left, top) == (right, bottom):  # the convolution pads by itself, without a padded copy of its input
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        return super().forward(F.pad(x, pads))


def _bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPS)


class Separable(nn.Module):
    """The block is depthwise 3x3, BatchNorm, ReLU6, pointwise 1x1, BatchNorm, ReLU6."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(channels, channels, 3, stride, groups=channels, bias=False)
        self.bn1, self.act1 = _bn(channels), nn.ReLU6()
        self.conv_pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2, self.act2 = _bn(out), nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        x = self.act1(self.bn1(self.conv_dw(x)))
        return self.act2(self.bn2(self.conv_pw(x)))  # type: ignore[no-any-return]


class MobileNetV1(nn.Module):
    """The featurizer maps images (N, 3, H, W) to pooled features (N, 1024), (N, 512) with at most eleven blocks.

    Args:
        blocks: depthwise-separable blocks kept, 1 to 13.
    """

    def __init__(self, blocks: int = ALL) -> None:
        super().__init__()
        self.conv_stem, self.bn1, self.act1 = SameConv2d(3, 32, 3, 2, bias=False), _bn(32), nn.ReLU6()
        stages, channels, left = [], 32, blocks
        for out, count, first_stride in LAYOUT:
            stage = []
            for number in range(min(count, left)):
                stage.append(Separable(channels, out, first_stride if number == 0 else 1))
                channels = out
            left -= len(stage)
            if stage:
                stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.width = channels

    def forward(self, x: Tensor) -> Tensor:
        """Compute pooled features."""
        x = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        return x.mean((2, 3))


def mobilenet_v1(
    shape: tuple[int, int, int],
    classes: int,
    *,
    blocks: int = ALL,
    weights: str | None = None,
    inputs: str | None = "tf",
) -> DGModel:
    """Build MobileNetV1 with a fresh classifier.

    Args:
        shape: (C, H, W) of the images; C must be 3.
        classes: number of classes.
        blocks: kept of the thirteen; 12 is what the truncated weights hold.
        weights: a safetensors file with timm's key names, or None.
        inputs: normalisation the weights expect; ``tf`` is x / 127.5 - 1. None: the data set's.

    Raises:
        ConfigError: not three channels, blocks out of range, weights that do not fit.
    """
    if shape[0] != 3:
        raise ConfigError(f"mobilenet_v1 needs 3 channels, the data set has {shape[0]}; use model=convnet")
    if not 1 <= blocks <= ALL:
        raise ConfigError(f"model.blocks must be 1 to {ALL}, got {blocks}; the truncated weights have 12")
    featurizer = MobileNetV1(blocks)
    if weights is not None:
        load_backbone(featurizer, weights)
    stages = tuple(f"blocks.{i}" for i in range(min(3, len(featurizer.blocks))))
    return DGModel(featurizer, featurizer.width, classes, stages=stages, inputs=normalisation(inputs))
