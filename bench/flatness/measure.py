"""All measures on one network, as plain numbers for its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...quantizers.export import ActQuant
from ...quantizers.insertion import latent_parameter
from ..experiment.flatness import FlatnessSettings
from ..training.data import CellData
from .hessian import top_eigenvalue, trace
from .iic import LogDet, criterion, half_squared_distance, log_det, tangent_kernel
from .local import local_flatness
from .network import Batches, activation_grids, float_names, logits_of_one, objective
from .sam import sam_sharpness

GPU_CHUNK = 16


def domain_batches(data: CellData, examples: int) -> dict[int, Batches]:
    """Return up to ``examples`` clean images of each domain: sources from training parts, the target from all.

    Which ones depends on (data set, target, seed) alone, so that all methods of a group are measured on the same.
    """
    out: dict[int, Batches] = {}
    for i in [*data.sources, data.target]:
        everything = np.concatenate([data.target_in, data.target_out]) if i == data.target else data.train[i]
        draw = np.random.default_rng([data.seeds.of("flatness"), i]).permutation(len(everything))[:examples]
        out[i] = list(data.evaluation(i, np.sort(everything[draw])))
    return out


def measure_flatness(
    network: nn.Module,
    data: CellData,
    settings: FlatnessSettings,
    grids: Mapping[str, ActQuant] | None = None,
    latent: nn.Module | None = None,
    start: Mapping[str, Tensor] | None = None,
    outputs: Mapping[str, ActQuant] | None = None,
) -> dict[str, Any]:
    """Measure the flatness of a trained network on its source domains and its target.

    The target's labels are used to describe the outcome, never to choose anything.

    Args:
        network: as deployed: plain layers that carry the dequantized weights. Left in eval mode.
        data: of the network's cell.
        settings: what to measure.
        grids: the input quantizers of the deployed network, by layer; applied here.
        outputs: the output quantizers of the same, by module; applied here, too.
        latent: the same network with latent weights and the quantizer in place, for the variant labelled ``latent``:
            the parameters that ``network`` has are moved and quantized again, the quantizer's own are not.
        start: parameters that training began from, by name; without them the information criterion is left out.

    Returns:
        ``parameters`` (n), ``gammas`` and for ``deployed`` and ``latent`` the measures, see docs/flatness.md. Only
        numbers, strings, lists and dictionaries; None for a number that is not finite.
    """
    batches, seed = domain_batches(data, settings.examples), data.seeds.of("flatness", 1)
    chunk = settings.chunk or (1 if data.device == "cpu" else GPU_CHUNK)
    names, grids = float_names(network), grids or {}
    count = sum(latent_parameter(network, n).numel() for n in names)
    gammas = [radius * math.sqrt(count) for radius in settings.radii]
    local = partial(_local, names=names, data=data, batches=batches, gammas=gammas, settings=settings, seed=seed)
    network.eval()
    with activation_grids(network, grids, outputs or {}, rounding=True):
        deployed = local(network, chunk=chunk)
    with activation_grids(network, grids, outputs or {}, rounding=False):
        deployed |= _curvature(network, names, data, batches, settings=settings, chunk=chunk, seed=seed)
    deployed |= _criteria(network, names, deployed, start)
    out = {"settings": asdict(settings), "parameters": count, "gammas": gammas, "deployed": deployed}
    if latent is not None and settings.latent:
        out["latent"] = local(latent.eval(), chunk=1)  # vmap cannot see through every quantizer
    found: dict[str, Any] = _plain(out)
    return found


def _local(
    network: nn.Module,
    chunk: int,
    names: list[str],
    data: CellData,
    batches: dict[int, Batches],
    gammas: list[float],
    settings: FlatnessSettings,
    seed: int,
) -> dict[str, Any]:
    label = {i: data.dataset.domains[i].name for i in batches}
    objectives = {label[i]: objective(network, names, [batches[i]], chunk) for i in batches}
    found = local_flatness(objectives, gammas, settings.directions, seed)
    sources = [found[label[i]] for i in data.sources]
    mean = [float(np.mean([s.mean[r] for s in sources])) for r in range(len(gammas))]
    return {
        "loss": {name: rise.loss for name, rise in found.items()},
        "local": {name: {"rise": rise.mean, "se": rise.se} for name, rise in found.items()},
        "local_source": mean,
        "local_target": found[label[data.target]].mean,
    }


def _curvature(
    network: nn.Module,
    names: list[str],
    data: CellData,
    batches: dict[int, Batches],
    settings: FlatnessSettings,
    chunk: int,
    seed: int,
) -> dict[str, Any]:
    """On all sources together, each domain with equal weight, and on the target."""
    out: dict[str, Any] = {}
    for place, domains in (("source", data.sources), ("target", [data.target])):
        whole = objective(network, names, [batches[i] for i in domains], chunk)
        if settings.probes:
            out[f"trace_{place}"] = asdict(trace(whole, settings.probes, seed))
            out[f"top_{place}"] = asdict(top_eigenvalue(whole, settings.iterations, settings.tolerance, seed))
        if settings.rhos:
            out[f"sam_{place}"] = sam_sharpness(whole, settings.rhos)
        if settings.tangent_examples:
            images = _spread(torch.cat([x for i in domains for x, _ in batches[i]]), settings.tangent_examples)
            params = {n: latent_parameter(network, n).detach() for n in names}
            kernel = tangent_kernel(partial(logits_of_one, network), params, images)
            out[f"tangent_{place}"] = asdict(log_det(kernel))
    return out


def _criteria(
    network: nn.Module, names: list[str], deployed: Mapping[str, Any], start: Mapping[str, Tensor] | None
) -> dict[str, Any]:
    """The information criterion, on the places where the tangent kernel was measured."""
    if start is None:
        return {}
    distance = half_squared_distance({n: latent_parameter(network, n) for n in names}, start)
    out = {}
    for place in ("source", "target"):
        if f"tangent_{place}" in deployed:
            found = criterion(LogDet(**deployed[f"tangent_{place}"]), distance)
            out[f"iic_{place}"] = {**asdict(found), "value": found.value}
    return out


def _spread(images: Tensor, count: int) -> Tensor:
    index = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
    return images[torch.from_numpy(index).to(images.device)]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
