"""One tensor under several state-dict names: stored once, and the other names as what they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from ...core.errors import RecordError
from .header import read_object


def aliases_of(state: Mapping[str, Tensor], quantized: Collection[str]) -> dict[str, str]:
    """Return the names to leave out of a file, each with the name that its tensor is stored under.

    Args:
        state: state dict of the network itself, in which equal memory means one tensor.
        quantized: names of the quantized weights; each is stored under its own name.
    """
    first: dict[tuple[object, ...], str] = {}
    out = {}
    for name in sorted(state, key=lambda name: (name not in quantized, name)):
        tensor = state[name]
        if tensor.numel() == 0:
            continue
        memory = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        kept = first.setdefault(memory, name)
        if kept != name and name not in quantized:
            out[name] = kept
    return out


def read_aliases(text: str | None, stored: Collection[str]) -> dict[str, str]:
    """Parse the aliases of a header; RecordError unless each stands for a tensor of the file and has none of its own."""
    if text is None:
        return {}
    raw = read_object(text, "aliases", "names")
    for name, kept in raw.items():
        if name in stored or not isinstance(kept, str) or kept not in stored:
            raise RecordError(f"the alias {name!r} must stand for another tensor of the file")
    return raw
