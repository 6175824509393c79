"""Calibration batches as people have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quantdg.core.errors import QuantizerError

Batch = Tensor | Sequence[Any]
"""Inputs, or inputs first and something else after them, as a DataLoader yields (inputs, labels)."""


def inputs_of(batches: Iterable[Batch], model: nn.Module) -> Iterator[Tensor]:
    """The inputs of each batch on the model's device; a single tensor is one batch."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        inputs = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(inputs, Tensor):
            raise QuantizerError(
                f"a calibration batch is a tensor, or a tuple that begins with one, got {type(batch).__name__}; "
                "write for example calibration=[inputs]"
            )
        yield inputs.to(device)
