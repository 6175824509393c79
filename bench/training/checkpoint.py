"""Training state as plain tensors: network, algorithm and optimizer, to memory or to a safetensors file.

Random generators and data order are no part of it: both are functions of the step (see seeds.py). For the same
reason a snapshot of a training at one step is the same bits whoever writes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...core.errors import RecordError
from ..algorithms.base import Algorithm
from ..averaging.base import Segment
from ..results.files import write_atomic
from .evaluation import SourceScore
from .selection import Checkpoint
from .serialization import pack, unpack

State = dict[str, Tensor]
_KINDS = (Segment, Checkpoint, SourceScore)


def _optimizers(algorithm: Algorithm) -> dict[str, torch.optim.Optimizer]:
    return {name: value for name, value in vars(algorithm).items() if isinstance(value, torch.optim.Optimizer)}


def capture(algorithm: Algorithm) -> State:
    """Copy the state dict and the state of each optimizer attribute, flat, by name."""
    state = {name: t.detach().clone() for name, t in algorithm.state_dict().items()}
    names = {id(p): name for name, p in algorithm.named_parameters()}
    for attribute, optimizer in _optimizers(algorithm).items():
        for parameter, slots in optimizer.state.items():
            for slot, value in slots.items():
                state[f"{attribute}.{slot}.{names[id(parameter)]}"] = torch.as_tensor(value).detach().clone()
    return state


def restore(algorithm: Algorithm, state: State) -> None:
    """Undo `capture` on an algorithm of the same structure; tensors are copied, so ``state`` can be used again."""
    optimizers = _optimizers(algorithm)
    algorithm.load_state_dict({n: t for n, t in state.items() if n.split(".", 1)[0] not in optimizers})
    parameters = dict(algorithm.named_parameters())
    for optimizer in optimizers.values():
        optimizer.state.clear()
    for key, value in state.items():
        attribute, _, rest = key.partition(".")
        if attribute in optimizers:
            slot, name = rest.split(".", 1)
            optimizers[attribute].state[parameters[name]][slot] = value.clone()


def save_state(path: Path, state: State, step: int) -> None:
    """Write a captured state atomically."""
    write_atomic(path, save({n: t.contiguous() for n, t in state.items()}, {"step": json.dumps(step)}))


def load_state(path: Path, device: str) -> State:
    """Read a state; RecordError where the file is damaged."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RecordError(f"{path} is not a whole checkpoint ({error}); delete it and run again") from error


@dataclass
class Snapshot:
    """This is a training in the middle: steps done, `capture` of its algorithm, and what else it has gathered."""

    step: int
    state: State
    gathered: Any = None


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot atomically: tensors as they are, everything else as JSON in the header."""
    text, tensors = pack(snapshot.gathered, _KINDS)
    named = {f"state/{n}": t.contiguous() for n, t in snapshot.state.items()}
    named |= {f"gathered/{n}": t for n, t in tensors.items()}
    write_atomic(path, save(named, {"step": json.dumps(snapshot.step), "gathered": text}))


def load_snapshot(path: Path, device: str) -> Snapshot:
    """Read a snapshot; RecordError where the file is damaged or of another making."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        parts: dict[str, State] = {"state": {}, "gathered": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        gathered = unpack(header["gathered"], parts["gathered"], _KINDS)
        return Snapshot(int(json.loads(header["step"])), parts["state"], gathered)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecordError) as error:
        raise RecordError(f"{path} is not a whole snapshot ({error}); delete it and run again") from error
