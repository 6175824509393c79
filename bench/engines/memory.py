"""Whether a training step fits into memory, told before a process grows until the kernel kills it.

The estimate is a lower bound, so that nothing is refused that would fit: the images of a step as float32, twice (as read and as
augmented), and what autograd keeps of a forward pass of the float network, measured on three images and scaled. Of several
processes that train one cell each has all its images, and keeps the pass of its own share of them. Gradients, the optimizer, the
quantizer's own tensors and the interpreter come on top. The batches for calibration are there at once, before that. A GPU says by
itself when it is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, prod
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import UninitializedParameter

from ...core.errors import ConfigError
from ...datasets.base import Outline
from ..experiment.launcher import Launcher
from ..experiment.setup import Setup
from ..models.weights import without_weights
from .capacity import free_gb, jobs_of

GB = 2**30
_SMALL = 2**24  # bytes of a Parameter, below which all are added up now and then only
MOST_PER_PIXEL = 1000
"""No network keeps more numbers for each number of an image; what is small even so need not be measured."""


@contextmanager
def refuse_large_networks() -> Iterator[None]:
    """Raise ConfigError while a network is built within the context whose weights cannot fit into the memory that is free.

    It is raised when a Parameter is registered, before it is filled. What is counted is twice the weights that are there
    by then, since a step has their gradients, too.
    """
    free, made = free_gb(), list[ReferenceType[Tensor]]()

    def count(_: nn.Module, name: str, parameter: Tensor | None) -> None:
        if parameter is None or free is None or isinstance(parameter, UninitializedParameter):
            return
        made.append(ref(parameter))
        if parameter.nbytes < _SMALL and len(made) % 1000:
            return
        living = {id(p): p.nbytes for p in (reference() for reference in made) if p is not None}
        need = 2 * sum(living.values()) / GB
        if need > free:
            raise ConfigError(
                f"the network must fit into memory, but its weights and their gradients need at least {need:.3g} GB up to "
                f"{name!r} of shape {tuple(parameter.shape)}, and {free:.3g} GB are free; choose a smaller one"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def check_memory(setup: Setup, outline: Outline, launcher: Launcher, cells: int) -> None:
    """Raise ConfigError where a training step or the calibration exceeds the memory that is free, or asked for on a cluster.

    Args:
        setup: what is to be trained.
        outline: of its data set.
        launcher: where.
        cells: how many cells are to be trained.
    """
    shape = outline.shape
    local = launcher.engine == "local"
    limit = free_gb() if local else launcher.memory_gb if launcher.engine in ("slurm", "ray") else None
    batch = setup.protocol.batch_size
    images = batch * (len(outline.domains) - 1)
    at_once = max(1, min(jobs_of(launcher), cells)) if local else 1
    processes, pixels = setup.protocol.processes, images * prod(shape) * 4 / GB
    if limit is None or launcher.device != "cpu":
        return
    each = f" in {processes} processes" if processes > 1 else ""
    there = f"{limit:.3g} GB are {f'free for {at_once} at a time' if local else 'asked for by launcher.memory_gb'}"
    if at_once * pixels * (2 * processes + MOST_PER_PIXEL) >= limit:
        with without_weights():
            network = setup.model.build(shape, len(outline.classes))
        need = 2 * processes * pixels + images * kept_bytes(network, shape) / GB
        if need * at_once > limit:
            raise ConfigError(
                f"a step of {images} images{each} needs at least {need:.3g} GB, and {there}; write "
                f"{_advice(batch, need, limit, at_once=at_once, local=local)}"
            )
    batches = setup.protocol.calibration_batches
    if (held := processes * batches * pixels) * at_once > limit:
        raise ConfigError(
            f"{batches} batches of {images} images for calibration{each} need {held:.3g} GB, and {there}; write "
            f"protocol.calibration_batches={max(1, int(batches * limit / (2 * held * at_once)))}"
        )


def _advice(batch: int, need: float, limit: float, *, at_once: int, local: bool) -> str:
    """Half of what the bound allows, since the bound is low."""
    smaller = f"protocol.batch_size={max(1, int(batch * limit / (2 * need * at_once)))}"
    if not local:
        return f"{smaller} or launcher.memory_gb={ceil(2 * need)}"
    fitting = int(limit / (2 * need))
    return f"{smaller} or launcher.jobs={fitting}" if 1 <= fitting < at_once else smaller


def kept_bytes(network: nn.Module, shape: tuple[int, int, int]) -> float:
    """Return how many bytes autograd keeps of each image of a forward pass; 0 where the network takes no such images."""
    was_training = network.training
    network.eval()
    try:
        return max(0.0, float(_kept(network, torch.zeros(3, *shape)) - _kept(network, torch.zeros(1, *shape))) / 2)
    except (RuntimeError, ValueError, AssertionError):  # whoever trains it will say why
        return 0.0
    finally:
        network.train(was_training)


def _kept(network: nn.Module, images: Tensor) -> int:
    """Bytes of all tensors that the graph of one forward pass holds, each once."""
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = network(images)
    del kept
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
