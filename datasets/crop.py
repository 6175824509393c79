"""Random resized crops of a whole batch, one box per image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ATTEMPTS = 10
_RATIO = (3 / 4, 4 / 3)


def draw_boxes(count: int, height: int, width: int, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Draw boxes as torchvision's ``RandomResizedCrop.get_params`` does, ratio 3/4..4/3.

    Args:
        count: images.
        height: of the images, pixels.
        width: of the images, pixels.
        scale: area of the box as a fraction of the image's, 0 < low <= high <= 1.
        generator: source of randomness; its device is the device of the result.

    Returns:
        int64, shape (count, 4): top, left, height, width. An image whose ten proposals all stick out keeps
        its largest central box with a ratio in range, the whole image if that is square.
    """
    uniform = torch.rand(4, count, _ATTEMPTS, generator=generator, device=generator.device, dtype=torch.float64)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform[0])
    low, high = (torch.tensor(r, dtype=torch.float64).log().item() for r in _RATIO)
    ratio = (low + (high - low) * uniform[1]).exp()
    w, h = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.int().argmax(1, keepdim=True)
    w, h, any_fits = w.gather(1, first)[:, 0], h.gather(1, first)[:, 0], fits.any(1)
    full_h = min(height, round(width / _RATIO[0]))
    full_w = min(width, round(height * _RATIO[1]))
    h, w = torch.where(any_fits, h, full_h), torch.where(any_fits, w, full_w)
    top = torch.where(any_fits, (uniform[2, :, 0] * (height - h + 1)).long(), (height - h) // 2)
    left = torch.where(any_fits, (uniform[3, :, 0] * (width - w + 1)).long(), (width - w) // 2)
    return torch.stack([top, left, h, w], 1)


def _along(start: Tensor, length: Tensor, size: int) -> Tensor:
    centres = torch.arange(size, device=start.device, dtype=torch.float32) + 0.5
    inside = centres * (length / size)[:, None] - 0.5
    # held inside the box, not the image: cropping comes before resizing
    inside = inside.clamp_min(0).minimum((length - 1)[:, None].float())
    return (2 * (inside + start[:, None]) + 1) / size - 1


def places(boxes: Tensor, flip: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Find where the pixels of the result lie in the source when boxes are cut out, enlarged and mirrored.

    Args:
        boxes: int64, shape (N, 4): top, left, height, width.
        flip: bool, shape (N,): mirror left and right.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        Of rows and columns, shapes (N, height) and (N, width), in grid_sample's -1..1.
    """
    rows = _along(boxes[:, 0], boxes[:, 2], height)
    columns = _along(boxes[:, 1], boxes[:, 3], width)
    return rows, torch.where(flip[:, None], columns.flip(1), columns)


def sample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample the images at other rows and columns, bilinear; boxes never exceed the image, so nothing is antialiased.

    Args:
        images: float, shape (N, C, H, W).
        rows: as from `places`, on the device of ``images``.
        columns: as from `places`, on the device of ``images``.

    Returns:
        Shape, type and range of ``images``.
    """
    across, down = torch.complex(columns, torch.zeros_like(columns)), torch.complex(torch.zeros_like(rows), rows)
    grid = torch.view_as_real(across[:, None, :] + down[:, :, None])  # faster than writing every other number
    return F.grid_sample(images, grid.to(images.dtype), "bilinear", "border", align_corners=False)
