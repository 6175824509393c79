"""The parameters of a batch's augmentation, drawn per image."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..core.host import sent
from .crop import draw_boxes, places
from .policy import Augmentation

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True)
class Draws:
    """These are the parameters of one batch of N images; those the policy does not use are None.

    Attributes:
        boxes: int64, (N, 4): top, left, height, width.
        flip: bool, (N,).
        rows: float, (N, H), where boxes and mirrors put the rows of pixels, see `places`.
        columns: float, (N, W), the same for columns.
        order: of `BRIGHTNESS`, `CONTRAST`, `SATURATION` and `HUE`.
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

    def to(self, device: torch.device) -> Draws:
        """Return the same parameters on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: sent(v, device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def draw(policy: Augmentation, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draw the parameters for ``count`` images of height x width pixels, on the generator's device."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    out = Draws()
    if policy.crop != (1.0, 1.0) or policy.flip > 0:
        boxes = draw_boxes(count, height, width, policy.crop, generator=generator)
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
