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
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...core.errors import RecordError, one_line
from ..algorithms.base import Algorithm
from ..averaging.base import Segment
from ..results.codec import WRONG
from ..results.files import write_atomic
from ..results.folder import read_file
from ..results.record import TRAINING_VERSION
from ..results.seal import check_seal, metadata, sealed
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


def state_identity(kind: str, path: Path) -> dict[str, str]:
    """Return what a stored state says of itself: kind, version of the training, and whose it is, which names its file."""
    return {"kind": kind, "key": path.stem, "training_version": str(TRAINING_VERSION)}


def float_identity(path: Path, step: int) -> dict[str, str]:
    """Return what the state at the end of a float phase says of itself."""
    return {**state_identity("float phase", path), "step": str(step)}


def save_state(path: Path, state: State, step: int) -> None:
    """Write the captured state at the end of a float phase atomically."""
    data = save({n: t.contiguous() for n, t in state.items()})
    write_atomic(path, sealed(data, float_identity(path, step)))


def load_state(path: Path, device: str, step: int) -> State:
    """Read the state at the end of a float phase.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged, or that of another group or step; says in what way.
    """
    try:
        data = read_file(path)
        check_seal(data, float_identity(path, step))
        return {name: tensor.to(device) for name, tensor in load(data).items()}
    except (SafetensorError, RecordError, *WRONG) as error:
        raise RecordError(f"{path} is not the float phase it is named after ({one_line(error)})") from error


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
    said = {**state_identity("snapshot", path), "step": json.dumps(snapshot.step), "gathered": text}
    write_atomic(path, sealed(save(named), said))


def load_snapshot(path: Path, device: str) -> Snapshot:
    """Read a snapshot.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged, or that of another training; says in what way.
    """
    try:
        data = read_file(path)
        check_seal(data, state_identity("snapshot", path))
        header = metadata(data)
        parts: dict[str, State] = {"state": {}, "gathered": {}}
        for name, tensor in load(data).items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor.to(device)
        gathered = unpack(header["gathered"], parts["gathered"], _KINDS)
        return Snapshot(int(json.loads(header["step"])), parts["state"], gathered)
    except (SafetensorError, RecordError, *WRONG) as error:
        raise RecordError(f"{path} is not the snapshot it is named after ({one_line(error)})") from error
