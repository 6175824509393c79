"""Weights that a network multiplies with beside its quantized ones: none stays float without being named.

A transposed convolution, a recurrent layer or a Parameter that a module multiplies by itself is of no kind that is
quantized. What is multiplied with is seen where it happens, in a forward; embeddings and offsets, which are added, are no
weights here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .acting import PRODUCTS
from .base import Skipped
from .fake_quant import fake_quants
from .names import site_name
from .spec import SiteSpec

READ_PAST = "the forward does not read this weight from its layer but past it, as from a list of parameters"
QUANTIZED = "those of nn.Conv1d to Conv3d, nn.Linear and nn.MultiheadAttention are quantized"
FURTHER = {
    *PRODUCTS,
    *(
        F.conv_transpose1d,
        F.conv_transpose2d,
        F.conv_transpose3d,
        torch.lstm,
        torch.gru,
        torch.rnn_tanh,
        torch.rnn_relu,
    ),
    *(torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell),
}
"""Functions that multiply by a weight, those of layers included that no quantizer takes."""


@contextmanager
def multiplied(model: nn.Module) -> Iterator[set[tuple[str, ...]]]:
    """Collect the Parameters that are multiplied with within the context, each as all of its state-dict names."""
    found: set[tuple[str, ...]] = set()
    with _Factors(model, found):
        yield found


def left_float(
    model: nn.Module,
    factors: Iterable[tuple[str, ...]],
    sites: Iterable[SiteSpec],
    skipped: Sequence[Skipped],
    *,
    idle: Iterable[Skipped],
) -> tuple[Skipped, ...]:
    """Return what stays float, each with the reason: what is skipped, what is idle, and the weights among ``factors``.

    Args:
        model: prepared.
        factors: from `multiplied`.
        sites: what is quantized.
        skipped: layers that are not, with their reasons.
        idle: layers that were to be quantized and whose weight no forward reads from them.
    """
    past = {_site(name) for names in factors for name in names}
    out = [*skipped, *(Skipped(s.name, READ_PAST) if s.name in past else s for s in idle)]
    known = {site.name for site in sites} | {layer.name for layer in out}
    for names in sorted(factors):
        if not known & {_site(name) for name in names}:
            kind = type(model.get_submodule(names[0].rpartition(".")[0])).__name__
            out.append(Skipped(_site(names[0]), f"it is a weight of {kind}; {QUANTIZED}"))
    return tuple(out)


def _site(key: str) -> str:
    module, _, parameter = key.rpartition(".")
    return site_name(module, parameter)


class _Factors(TorchFunctionMode):
    """Notes which weights are arguments of a product, by the memory that they lie in."""

    def __init__(self, model: nn.Module, found: set[tuple[str, ...]]) -> None:
        super().__init__()
        self.found = found
        self.names: dict[int, tuple[str, ...]] = {}
        own = {id(p) for quant in fake_quants(model) for p in quant.parameters()}
        for name, weight in model.named_parameters(remove_duplicate=False):
            if weight.dim() > 1 and weight.numel() and id(weight) not in own:
                memory = weight.untyped_storage().data_ptr()
                self.names[memory] = (*self.names.get(memory, ()), name)

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FURTHER:
            pointers = {t.untyped_storage().data_ptr() for t in _tensors((*args, *kwargs.values()))}
            self.found |= {self.names[p] for p in pointers & self.names.keys()}
        return func(*args, **kwargs)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments and in their lists: recurrent layers get theirs as one list."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
