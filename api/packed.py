"""A saved quantized model back in plain torch."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from quantdg.bench.packed.file import PackedModel, read_model
from quantdg.bench.packed.twin import InputGrid, OutputGrid, own_inputs
from quantdg.core.errors import RecordError
from quantdg.quantizers.layers import sites_of

Model = TypeVar("Model", bound=nn.Module)


def load_packed(path: str | PathLike[str], model: Model) -> Model:
    """Load a file of `QuantizedModel.save`, or of a run's ``models`` folder, into a float model, in place.

    Every weight is exactly the fake-quantized one. Where layer inputs were quantized, too, their layers get a forward
    pre-hook (`quantdg.bench.packed.twin.InputGrid`) that rounds inputs to the saved grid; no state-dict key is added.

    Args:
        path: of the file.
        model: of the architecture that was saved, not quantized; its device and mode stay.

    Returns:
        ``model``.

    Raises:
        RecordError: the file is not whole, or the model has other tensors, shapes or types than the file. The model
            is unchanged then, except where it shares one tensor between two names that differ in the file.
    """
    packed = read_model(Path(path).resolve())
    state = packed.state()
    _check_fit(Path(path), state, model)
    model.load_state_dict(state)
    for name, tensor in model.state_dict().items():
        if not torch.equal(tensor.cpu(), state[name]):
            raise RecordError(
                f"{path} has a value of its own for {name!r}, the model shares it with another name; untie it"
            )
    _hook_grids(packed, model)
    return model


def _check_fit(path: Path, state: dict[str, Tensor], model: nn.Module) -> None:
    quantized = next((name for name, _ in sites_of(model)), None)
    if quantized is not None:
        raise RecordError(f"{path} goes into a float model, but {quantized!r} is quantized; build the model anew")
    own = model.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            raise RecordError(f"{path} must have every tensor of the model, but {name!r} is not in the file")
        if name not in own:
            raise RecordError(f"the model must have every tensor of {path}, but has no {name!r}")
        here, there = own[name], state[name]
        if (here.shape, here.dtype) != (there.shape, there.dtype):
            raise RecordError(
                f"{name!r} must be as in {path}, {there.dtype} of shape {tuple(there.shape)}, the model has "
                f"{here.dtype} of shape {tuple(here.shape)}"
            )


def _hook_grids(packed: PackedModel, model: nn.Module) -> None:
    """Grids of this file take the place of those of a file loaded before."""
    for module in model.modules():
        for key, hook in [*module._forward_pre_hooks.items()]:
            if isinstance(hook, InputGrid):
                del module._forward_pre_hooks[key], module._forward_pre_hooks_with_kwargs[key]
        for key, output_hook in [*module._forward_hooks.items()]:
            if isinstance(output_hook, OutputGrid):
                del module._forward_hooks[key]
    for name, act in own_inputs(packed.sites, packed.outputs).items():
        InputGrid(act).attach(model.get_submodule(name))
    for name, output in packed.outputs.items():
        OutputGrid(output.act).attach(model.get_submodule(name))
