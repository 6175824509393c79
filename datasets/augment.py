"""Augmentation of a batch on its own device, with parameters drawn per image.

DomainBed's pipeline (facebookresearch/DomainBed@b93c22a): random resized crop, horizontal flip, colour jitter,
random grayscale, normalisation. Two differences, both for speed: the crop is cut from the image at training
resolution, and the order of the four jitter operations is drawn once per batch rather than per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..core.host import like
from .colour import adjust_brightness_, adjust_contrast_, adjust_hue_, adjust_saturation_, drop_colour_
from .crop import sample
from .draws import Draws, draw
from .policy import AUGMENTATIONS, Augmentation, get_augmentation

__all__ = ["AUGMENTATIONS", "Augmentation", "Draws", "apply", "augment", "draw", "get_augmentation", "normalise"]

_JITTER = (adjust_brightness_, adjust_contrast_, adjust_saturation_, adjust_hue_)


def to_unit(images: Tensor) -> Tensor:
    """Return a copy as float 0..1: uint8 0..255 is scaled, floats are taken to be 0..1 already."""
    return images.float().mul_(1 / 255) if images.dtype == torch.uint8 else images.clone()


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return ``(x - mean) / std`` per channel, as a copy.

    Args:
        images: uint8 0..255 or float 0..1, shape (N, C, H, W).
        mean: one number per channel, of inputs scaled to 0..1.
        std: one number per channel, of inputs scaled to 0..1.

    Raises:
        ConfigError: not one number per channel.
    """
    return _normalise_(to_unit(images), mean, std)


def _normalise_(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """As `normalise`, but changes the images themselves, which are float."""
    _check_statistics(images.shape[1], mean, std)
    shape = (1, -1, 1, 1)
    return images.sub_(like(images, mean).view(shape)).div_(like(images, std).view(shape))


def _check_statistics(channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != channels or len(std) != channels:
        raise ConfigError(f"mean and std need {channels} numbers, one per channel, got {tuple(mean)} and {tuple(std)}")


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Augment with given parameters: crop and flip, jitter in the drawn order, grayscale.

    Args:
        images: uint8 0..255 or float 0..1, shape (N, C, H, W).
        draws: for N images, on the device of ``images``.

    Returns:
        Float 0..1, shape (N, C, H, W).
    """
    out = to_unit(images)
    if draws.rows is not None and draws.columns is not None:
        out = sample(out, draws.rows, draws.columns)
    if draws.factors is not None:
        for k in draws.order:
            out = _JITTER[k](out, draws.factors[:, k])
    return out if draws.gray is None else drop_colour_(out, draws.gray)


def augment(
    images: Tensor, policy: Augmentation, generator: torch.Generator, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Return augmented and normalised copies of a batch.

    Args:
        images: uint8 0..255 or float 0..1, shape (N, C, H, W), any device; left as it is.
        policy: what to do.
        generator: source of randomness, on the CPU or on the device of ``images``. A CPU generator gives every
            device the same parameters.
        mean: one number per channel, of inputs scaled to 0..1.
        std: one number per channel, of inputs scaled to 0..1.

    Returns:
        Float, shape (N, C, H, W). The number of draws depends on ``policy`` and N only.

    Raises:
        ConfigError: a colour operation on images without exactly three channels; not one number per channel.
    """
    count, channels, height, width = images.shape
    if policy.colour and channels != 3:
        raise ConfigError(f"jitter and grayscale need 3 channels, got {channels}; use the augmentation digits or none")
    draws = draw(policy, count, height, width, generator=generator).to(images.device)
    if policy.colour and images.dtype == torch.uint8 and images.device.type == "cpu":
        from .compiled_augment import augment_photos  # noqa: PLC0415  (Numba takes a quarter of a second to import)

        _check_statistics(channels, mean, std)
        return augment_photos(images, draws, mean, std)
    return _normalise_(apply(images, draws), mean, std)
