"""The batched augmentation against torchvision, image by image with the same parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.functional as tvf
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.datasets import colour
from quantdg.datasets.augment import Augmentation, Draws, apply, augment, draw, get_augmentation, normalise
from quantdg.datasets.crop import draw_boxes, places, sample

DOMAINBED = get_augmentation("domainbed")
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def photos(count: int, size: int = 24, seed: int = 0) -> Tensor:
    """Smooth colour images with saturated, gray and black pixels, uint8."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=g) * 1.4 - 0.2
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").clamp(0, 1)
    smooth[:, :, :3, :3] = smooth[:, :1, :3, :3]
    smooth[:, :, -2:, -2:] = 0
    return (smooth * 255).round().byte()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


OPERATIONS: list[tuple[Callable[[Tensor, Tensor], Tensor], Callable[..., Tensor], float, float]] = [
    (colour.adjust_brightness_, tvf.adjust_brightness, 0.4, 1.6),
    (colour.adjust_contrast_, tvf.adjust_contrast, 0.4, 1.6),
    (colour.adjust_saturation_, tvf.adjust_saturation, 0.0, 2.0),
    (colour.adjust_hue_, tvf.adjust_hue, -0.5, 0.5),
]


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"), OPERATIONS, ids=["brightness", "contrast", "saturation", "hue"]
)
def test_colour_equals_torchvision(
    ours: Callable[[Tensor, Tensor], Tensor], theirs: Callable[..., Tensor], low: float, high: float
) -> None:
    images = photos(40).float() / 255
    factors = torch.linspace(low, high, 40)
    wanted = torch.stack([theirs(i, f.item()) for i, f in zip(images, factors, strict=True)])
    assert (ours(images.clone(), factors) - wanted).abs().max() < 1e-4
    assert (wanted - images).abs().max() > 0.1


def test_grayscale_equals_torchvision() -> None:
    images = photos(4).float() / 255
    out = colour.drop_colour_(images.clone(), torch.tensor([True, False, True, False]))
    assert torch.equal(out[1::2], images[1::2])
    assert (out[::2] - tvf.rgb_to_grayscale(images[::2], 3)).abs().max() < 1e-6


@pytest.mark.parametrize("size", [16, 33])
def test_crop_equals_torchvision(size: int) -> None:
    images = photos(30, size).float() / 255
    boxes = draw_boxes(30, size, size, (0.3, 1.0), generator())
    flip = torch.arange(30) % 2 == 0
    wanted = []
    for image, box, mirrored in zip(images, boxes.tolist(), flip, strict=True):
        cut = tvf.resized_crop(image, *box, [size, size], InterpolationMode.BILINEAR, antialias=True)
        wanted.append(tvf.hflip(cut) if mirrored else cut)
    assert (sample(images, *places(boxes, flip, size, size)) - torch.stack(wanted)).abs().max() < 1e-4


def reference(image: Tensor | Image.Image, k: int, draws: Draws) -> Tensor:
    """Image ``k`` through torchvision's own functions with the drawn parameters, in DomainBed's order."""
    assert draws.boxes is not None and draws.flip is not None and draws.factors is not None and draws.gray is not None
    out = tvf.resized_crop(image, *draws.boxes[k].tolist(), [32, 32], InterpolationMode.BILINEAR)
    out = tvf.hflip(out) if draws.flip[k] else out
    for operation in draws.order:
        out = OPERATIONS[operation][1](out, draws.factors[k, operation].item())
    out = tvf.rgb_to_grayscale(out, 3) if draws.gray[k] else out
    return out if isinstance(out, Tensor) else tvf.to_tensor(out)


def test_whole_pipeline_equals_torchvision() -> None:
    """Tight on float tensors; looser on PIL images, which are rounded after every step and keep hue in 8 bits."""
    images = photos(24, 32)
    for seed in range(6):
        draws = draw(DOMAINBED, 24, 32, 32, generator(seed))
        ours = apply(images, draws)
        on_tensors = torch.stack([reference(image.float() / 255, k, draws) for k, image in enumerate(images)])
        assert (ours - on_tensors).abs().max() < 0.1 / 255
        pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        on_pil = torch.stack([reference(picture, k, draws) for k, picture in enumerate(pictures)])
        assert (ours - on_pil).abs().mean() < 2.5 / 255


def test_parameters_are_per_image_and_in_range() -> None:
    draws = draw(DOMAINBED, 4000, 64, 64, generator())
    assert draws.boxes is not None and draws.flip is not None and draws.factors is not None and draws.gray is not None
    top, left, height, width = draws.boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 64).all() and (left + width <= 64).all()
    share = (height * width).double() / 64**2
    assert 0.68 < share.min() < 0.73 and 0.95 < share.max() <= 1
    assert ((width / height) > 0.72).all() and ((width / height) < 1.4).all()
    assert 0.47 < draws.flip.float().mean() < 0.53
    assert 0.08 < draws.gray.float().mean() < 0.12
    for row, (low, high) in zip(draws.factors.T, [(0.7, 1.3)] * 3 + [(-0.3, 0.3)], strict=True):
        assert low <= row.min() < low + 0.01 and high - 0.01 < row.max() <= high
    assert sorted(draws.order) == [0, 1, 2, 3]
    orders = {draw(DOMAINBED, 1, 8, 8, generator(s)).order for s in range(200)}
    assert len(orders) == 24


def test_box_falls_back_to_the_whole_image() -> None:
    """A scale of exactly 1 fits only when the ratio rounds to a square, so ten attempts often fail."""
    boxes = draw_boxes(500, 200, 200, (1.0, 1.0), generator())
    assert torch.equal(boxes, torch.tensor([[0, 0, 200, 200]]).expand(500, 4))


def test_reproducible_and_input_untouched() -> None:
    images = photos(10)
    before = images.clone()
    first, second = (augment(images, DOMAINBED, generator(1), *PLAIN) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(images, DOMAINBED, generator(2), *PLAIN))
    assert torch.equal(images, before)
    assert first.dtype == torch.float32 and first.min() >= 0 and first.max() <= 1
    floats = images.float() / 255
    kept = floats.clone()
    assert torch.allclose(augment(floats, DOMAINBED, generator(1), *PLAIN), first, atol=1e-6)
    assert torch.equal(floats, kept)


def test_named_policies() -> None:
    images = photos(6)
    assert torch.equal(augment(images, get_augmentation("none"), generator(), *PLAIN), images.float() * (1 / 255))
    two_channels, plain = images[:, :2], ((0.0, 0.0), (1.0, 1.0))
    assert augment(two_channels, get_augmentation("digits"), generator(), *plain).shape == two_channels.shape
    assert get_augmentation("digits").flip == 0
    with pytest.raises(UnknownNameError, match="'domainbed'"):
        get_augmentation("domainbd")
    with pytest.raises(ConfigError, match="got 2"):
        augment(two_channels, DOMAINBED, generator(), *plain)
    for policy in (DOMAINBED, get_augmentation("none")):
        with pytest.raises(ConfigError, match="3 numbers"):
            augment(images, policy, generator(), *plain)


@pytest.mark.parametrize(
    "change", [{"crop": (0.0, 1.0)}, {"crop": (0.9, 0.5)}, {"flip": 1.1}, {"jitter": (0.1, 0.1, 0.1, 0.6)}]
)
def test_policy_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="got"):
        dataclasses.replace(Augmentation(), **change)  # type: ignore[arg-type]


def test_normalise() -> None:
    images = photos(3)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    wanted = torch.stack([tvf.normalize(i.float() / 255, list(mean), list(std)) for i in images])
    assert torch.allclose(normalise(images, mean, std), wanted, atol=1e-5)
    floats = images.float() / 255
    kept = floats.clone()
    assert torch.allclose(normalise(floats, mean, std), wanted, atol=1e-5)
    assert torch.equal(floats, kept)
    with pytest.raises(ConfigError, match="3 numbers"):
        normalise(images, (0.5,), (0.5,))


def test_empty_draws_change_nothing() -> None:
    images = photos(2).float() / 255
    assert torch.equal(apply(images, Draws()), images)
