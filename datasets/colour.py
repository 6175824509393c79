"""Colour operations on a batch of RGB images in 0..1, with one factor per image.

The formulas are those of torchvision.transforms.functional on float tensors. Inputs have shape (N, 3, H, W),
factors (N,); results are clamped to 0..1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _column(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]


def to_gray(images: Tensor) -> Tensor:
    """Luma, shape (N, 1, H, W)."""
    red, green, blue = images.unbind(1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)[:, None]


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale towards black; factor >= 0, 1 changes nothing."""
    return (images * _column(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean luma of each image; factor >= 0, 1 changes nothing."""
    mean = to_gray(images.mean((2, 3), keepdim=True))
    return torch.lerp(mean, images, _column(factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the luma of each pixel; factor >= 0, 1 changes nothing."""
    return torch.lerp(to_gray(images), images, _column(factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` of a full circle, -0.5..0.5, keeping HSV value and saturation."""
    red, green, blue = images.unbind(1)
    high = torch.maximum(red, green).maximum(blue)
    chroma = high - torch.minimum(red, green).minimum(blue)
    scale = (chroma + 1e-12).reciprocal_()
    # the hue in sixths of the circle: 0 red, 2 green, 4 blue
    hue = torch.where(high == green, (blue - red).mul_(scale).add_(2), (red - green).mul_(scale).add_(4))
    hue = torch.where(high == red, (green - blue).mul_(scale), hue).add_(6 * shift[:, None, None])
    hue.sub_((hue * (1 / 6)).floor_().mul_(6))
    out = torch.empty_like(images)
    # a channel is lowest around its complement and highest two sixths or more away from it
    for channel, complement in enumerate((3, 5, 1)):
        away = (hue - complement).abs_()
        near = torch.maximum(2 - away, away - 4).clamp_(0, 1)
        torch.addcmul(high, chroma, near, value=-1, out=out[:, channel])
    return out


def keep_gray(images: Tensor, chosen: Tensor) -> Tensor:
    """Replace the images where ``chosen`` (bool, (N,)) by their luma in all three channels."""
    return torch.where(_column(chosen), to_gray(images), images)
