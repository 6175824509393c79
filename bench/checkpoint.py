"""Training state as plain tensors: network, algorithm and optimizer, to memory or to a safetensors file.

Random generators and data order are no part of it: both are functions of the step (see seeds.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.store import write_atomic
from quantdg.core.errors import RecordError

State = dict[str, Tensor]
_OPTIMIZER = "optimizer."


def capture(algorithm: Algorithm) -> State:
    """A copy of the state dict and of the optimizer's state, flat, by name."""
    state = {name: t.detach().clone() for name, t in algorithm.state_dict().items()}
    names = {id(p): name for name, p in algorithm.named_parameters()}
    for parameter, slots in algorithm.optimizer.state.items():
        for slot, value in slots.items():
            state[f"{_OPTIMIZER}{slot}.{names[id(parameter)]}"] = torch.as_tensor(value).detach().clone()
    return state


def restore(algorithm: Algorithm, state: State) -> None:
    """Inverse of `capture` on an algorithm of the same structure; copies, so that ``state`` can be used again."""
    algorithm.load_state_dict({n: t for n, t in state.items() if not n.startswith(_OPTIMIZER)})
    parameters = dict(algorithm.named_parameters())
    algorithm.optimizer.state.clear()
    for key, value in state.items():
        if key.startswith(_OPTIMIZER):
            slot, name = key.removeprefix(_OPTIMIZER).split(".", 1)
            algorithm.optimizer.state[parameters[name]][slot] = value.clone()


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
