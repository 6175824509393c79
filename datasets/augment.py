"""Augmentation of a batch on its own device, with parameters drawn per image.

DomainBed's pipeline (facebookresearch/DomainBed@b93c22a): random resized crop, horizontal flip, colour jitter,
random grayscale, normalisation. Two differences, both for speed: the crop is cut from the image at training
resolution, and the order of the four jitter operations is drawn once per batch rather than per image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from quantdg.core.errors import ConfigError
from quantdg.datasets.colour import adjust_brightness_, adjust_contrast_, adjust_hue_, adjust_saturation_, drop_colour_
from quantdg.datasets.crop import draw_boxes, places, sample
from quantdg.datasets.policy import AUGMENTATIONS, Augmentation, get_augmentation

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Draws",
    "apply",
    "augment",
    "draw",
    "get_augmentation",
    "normalise",
    "normalise_",
]

_JITTER = (adjust_brightness_, adjust_contrast_, adjust_saturation_, adjust_hue_)
_CHUNK = 1 << 16  # pixels; the temporaries of a chunk stay in the processor's cache


@dataclass(frozen=True)
class Draws:
    """The parameters of one batch of N images; None where the policy does not use them.

    Attributes:
        boxes: int64, (N, 4): top, left, height, width.
        flip: bool, (N,).
        rows, columns: (N, H) and (N, W), where boxes and mirrors put the pixels, see `places`.
        order: of brightness 0, contrast 1, saturation 2, hue 3.
        factors: float, (N, 4), one column per operation.
        gray: bool, (N,).
    """

    boxes: Tensor | None = None
    flip: Tensor | None = None
    rows: Tensor | None = None
    columns: Tensor | None = None
    order: tuple[int, ...] = ()
    factors: Tensor | None = None
    gray: Tensor | None = None

    def _each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(v) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changed)

    def to(self, device: torch.device) -> Draws:
        """The same on ``device``."""
        return self._each(lambda t: t.to(device))

    def part(self, images: slice) -> Draws:
        """The parameters of some of the images."""
        return self._each(lambda t: t[images])


def draw(policy: Augmentation, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draw the parameters for ``count`` images of height x width pixels, on the generator's device."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    out = Draws()
    if policy.crop != (1.0, 1.0) or policy.flip > 0:
        boxes = draw_boxes(count, height, width, policy.crop, generator)
        flip = uniform(count) < policy.flip
        rows, columns = places(boxes, flip, height, width)
        out = replace(out, boxes=boxes, flip=flip, rows=rows, columns=columns)
    if any(policy.jitter):
        order = torch.randperm(4, generator=generator, device=generator.device).tolist()
        strengths = torch.tensor(policy.jitter, device=generator.device)[:, None]
        neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], device=generator.device)[:, None]
        factors = neutral + strengths * (2 * uniform(4, count) - 1)
        out = replace(out, order=tuple(k for k in order if policy.jitter[k] > 0), factors=factors.T)
    return replace(out, gray=uniform(count) < policy.grayscale) if policy.grayscale > 0 else out


def to_unit(images: Tensor) -> Tensor:
    """A copy as float 0..1: uint8 0..255 is scaled, floats are taken to be 0..1 already."""
    return images.float().mul_(1 / 255) if images.dtype == torch.uint8 else images.clone()


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(x - mean) / std`` per channel, of a copy.

    Args:
        images: uint8 0..255 or float 0..1, shape (N, C, H, W).
        mean, std: one number per channel, of inputs scaled to 0..1.

    Raises:
        ConfigError: not one number per channel.
    """
    return normalise_(to_unit(images), mean, std)


def normalise_(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """As `normalise`, but changes the images themselves, which are float."""
    channels = images.shape[1]
    if len(mean) != channels or len(std) != channels:
        raise ConfigError(f"mean and std need {channels} numbers, one per channel, got {tuple(mean)} and {tuple(std)}")
    shape = (1, channels, 1, 1)
    return images.sub_(images.new_tensor(mean).view(shape)).div_(images.new_tensor(std).view(shape))


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
    images: Tensor,
    policy: Augmentation,
    generator: torch.Generator,
    finish: Callable[[Tensor], Tensor] = lambda images: images,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Augmented copies of a batch, not normalised unless by ``finish``.

    Args:
        images: uint8 0..255 or float 0..1, shape (N, C, H, W), any device; left as it is.
        policy: what to do.
        generator: source of randomness, on the CPU or on the device of ``images``. A CPU generator gives every
            device the same parameters.
        finish: what else to do with images, which it may change, while they lie in the processor's cache.
        layout: of the result in memory.

    Returns:
        Float 0..1, shape (N, C, H, W). The number of draws depends on ``policy`` and N only.

    Raises:
        ConfigError: a colour operation on images without exactly three channels.
    """
    n, channels, height, width = images.shape
    if policy.colour and channels != 3:
        raise ConfigError(f"jitter and grayscale need 3 channels, got {channels}; use the augmentation digits or none")
    draws = draw(policy, n, height, width, generator).to(images.device)
    chunk = n if images.device.type != "cpu" else max(1, _CHUNK // (height * width))
    dtype = images.dtype if images.is_floating_point() else torch.float32
    out = torch.empty(images.shape, dtype=dtype, device=images.device, memory_format=layout)
    with torch.inference_mode():
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            out[part] = finish(apply(images[part], draws.part(part)))
    return out
