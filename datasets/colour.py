"""Colour operations on a batch of RGB images in 0..1, with one factor per image.

The formulas are those of torchvision.transforms.functional on float tensors. Inputs have shape (N, 3, H, W),
factors (N,); results are clamped to 0..1. A trailing underscore means that the images themselves are changed, which
keeps them in the processor's cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.host import on_host


def _column(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]


def to_gray(images: Tensor) -> Tensor:
    """Return the luma, shape (N, 1, H, W)."""
    red, green, blue = images.unbind(1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)[:, None]


def adjust_brightness_(images: Tensor, factor: Tensor) -> Tensor:
    """Scale towards black; factor >= 0, 1 changes nothing."""
    return images.mul_(_column(factor)).clamp_(0, 1)


def adjust_contrast_(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean luma of each image; factor >= 0, 1 changes nothing."""
    return _blend_(images, to_gray(images.mean((2, 3), keepdim=True)), _column(factor))


def adjust_saturation_(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the luma of each pixel; factor >= 0, 1 changes nothing."""
    return _blend_(images, to_gray(images), _column(factor))


def _blend_(images: Tensor, gray: Tensor, share: Tensor) -> Tensor:
    return images.mul_(share).add_(gray.mul_(1 - share)).clamp_(0, 1)


def adjust_hue_(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` of a full circle, -0.5..0.5, keeping HSV value and saturation.

    In sixths of the circle, the angle between a pixel's hue and red is 1 + (G + B - R - min) / (max - min), and it lies
    on green's side where G > B. A channel is highest up to one sixth away from its own hue and lowest from two on.
    """
    red, green, blue = images.unbind(1)
    low = torch.minimum(red, green).minimum(blue)
    chroma = torch.maximum(red, green).maximum(blue).sub_(low)
    angle = (green + blue).sub_(red).sub_(low).div_(chroma + 1e-12).add_(1).copysign_(green - blue)
    turn = 6 * shift
    # -2 and +4 mean the same place; chosen so that the sums below lie in -7..7, where folding twice is right
    around = 6.0 * (turn < 0)
    offset = torch.stack([turn, turn - 2 + around, turn - 4 + around], 1)[:, :, None, None]
    above_low = torch.add(angle[:, None], offset, out=images).abs_().sub_(3).abs_().sub_(1).clamp_(0, 1)
    return above_low.mul_(chroma[:, None]).add_(low[:, None])


def drop_colour_(images: Tensor, chosen: Tensor) -> Tensor:
    """Replace the images where ``chosen`` (bool, (N,)) by their luma in all three channels."""
    if not on_host(chosen):
        return torch.where(_column(chosen), to_gray(images), images)
    for k in chosen.nonzero()[:, 0].tolist():
        images[k] = to_gray(images[k : k + 1])[0]
    return images
