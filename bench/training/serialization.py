"""Nested values with tensors inside, as JSON text and a flat dict of tensors, and back; nothing but listed types."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.errors import RecordError

Kinds = tuple[type[Any], ...]
"""Dataclasses that may occur inside; they are rebuilt by keyword."""


class _Packer:
    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def pack(self, value: Any) -> Any:
        """Return the value as JSON can hold it; tensors are put aside."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, Tensor):
            return {"tensor": self._name(value)}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self.pack(item) for key, item in value.items()}}
        if isinstance(value, deque):
            return {"deque": [self.pack(item) for item in value], "maxlen": value.maxlen}
        if type(value) in (list, tuple):
            return {type(value).__name__: [self.pack(item) for item in value]}
        if is_dataclass(value) and type(value) in self.kinds:
            return {
                "kind": type(value).__name__,
                "fields": {f.name: self.pack(getattr(value, f.name)) for f in fields(value)},
            }
        raise TypeError(
            f"a training state may hold tensors, numbers, texts, lists and dicts, got {type(value).__name__}; "
            "override state() and restore()"
        )

    def _name(self, tensor: Tensor) -> str:
        """Equal memory is stored once and is shared again after loading."""
        identity = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        name = self._names.setdefault(identity, f"t{len(self._names)}")
        self.tensors[name] = tensor.detach()
        return name


def pack(value: Any, kinds: Kinds = ()) -> tuple[str, dict[str, Tensor]]:
    """Return (JSON text, tensors by name); TypeError for what cannot be written."""
    packer = _Packer(kinds)
    text = json.dumps(packer.pack(value))
    return text, {name: t.clone(memory_format=torch.contiguous_format) for name, t in packer.tensors.items()}


def unpack(text: str, tensors: dict[str, Tensor], kinds: Kinds = ()) -> Any:
    """Undo `pack`; RecordError where the text is of another making."""
    known = {kind.__name__: kind for kind in kinds}
    builders: dict[str, Callable[[dict[str, Any]], Any]] = {
        "tensor": lambda node: tensors[node["tensor"]],
        "dict": lambda node: {key: build(item) for key, item in node["dict"].items()},
        "deque": lambda node: deque(map(build, node["deque"]), node["maxlen"]),
        "tuple": lambda node: tuple(map(build, node["tuple"])),
        "list": lambda node: list(map(build, node["list"])),
        "kind": lambda node: known[node["kind"]](**{key: build(item) for key, item in node["fields"].items()}),
    }

    def build(node: Any) -> Any:
        return builders[next(iter(node))](node) if isinstance(node, dict) else node

    try:
        return build(json.loads(text))
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise RecordError(f"not a training state ({type(error).__name__}: {error}); delete the file") from error
