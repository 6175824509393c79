"""How far tensors of a prepared model have moved since the branch point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor


class ScaleEvidence(NamedTuple):
    """The largest relative movement and the largest |gradient| over some learned parameters; None where there is none."""

    moved: float | None
    gradient: float | None


class Movement:
    """This keeps copies of tensors by name and compares later values with them."""

    def __init__(self) -> None:
        self._start: dict[str, Tensor] = {}

    def start_from(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Keep copies of these tensors as the origin."""
        self._start = {name: tensor.detach().clone() for name, tensor in tensors}

    def of_weight(self, name: str, now: Tensor) -> float:
        """Compute ||now - start|| / ||start||."""
        start = self._start[name].to(now.device)
        return float((now.detach() - start).norm() / start.norm().clamp_min(1e-12))

    def of_scales(self, scales: Iterable[tuple[str, Tensor]]) -> ScaleEvidence:
        """Return the evidence that learned quantizer parameters were trained; |now| is what those that start at 0 moved."""
        scales = list(scales)
        moved = max((self._of_scale(name, scale) for name, scale in scales), default=None)
        gradients = [float(scale.grad.abs().max()) for _, scale in scales if scale.grad is not None]
        return ScaleEvidence(moved, max(gradients, default=None))

    def _of_scale(self, name: str, now: Tensor) -> float:
        start = self._start[name].to(now.device)
        return float(((now.detach() - start).abs() / start.abs().masked_fill(start == 0, 1)).max())
