"""Which weights of a model can be quantized, and which of them a spec chooses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import torch
from torch import nn

from ..core.errors import QuantizerError
from .base import Skipped
from .class_swap import Quantized
from .insertion import sites_of
from .names import WEIGHT, site_name
from .spec import QuantSpec, SiteSpec

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""The weights that nn.MultiheadAttention holds itself; those it does not use are None."""

__all__ = ["LAYERS", "choose", "quantizable_layers", "sites_of"]


def quantizable_layers(model: nn.Module) -> tuple[dict[str, str], list[Skipped]]:
    """Return the weights that can be quantized, the Parameter's name by the site's, and those that cannot, with the reason.

    Raises:
        QuantizerError: the model is quantized already.
    """
    found: dict[str, str] = {}
    skipped: list[Skipped] = []
    for name, module in model.named_modules():
        if isinstance(module, Quantized):
            raise QuantizerError(f"a model can be prepared once, but {name!r} is already quantized; start from float")
        held = (
            ATTENTION if isinstance(module, nn.MultiheadAttention) else (WEIGHT,) if isinstance(module, LAYERS) else ()
        )
        for parameter in held:
            weight, site = module._parameters.get(parameter), site_name(name, parameter)
            if isinstance(weight, nn.Parameter) and weight.dtype == torch.float32:
                found[site] = parameter
            elif isinstance(weight, nn.Parameter):
                skipped.append(Skipped(site, f"weights must be float32 to be quantized, this one is {weight.dtype}"))
            elif held != ATTENTION:
                skipped.append(Skipped(site, "its weight is no Parameter but computed, as by weight_norm"))
    return found, skipped


def choose(model: nn.Module, spec: QuantSpec) -> tuple[list[SiteSpec], list[Skipped]]:
    """Divide the weights of ``model`` into those that ``spec`` quantizes and those it does not, each with the reason.

    Raises:
        NoMatchError: a rule of the spec matches no layer.
        QuantizerError: the model is quantized already.
    """
    found, skipped = quantizable_layers(model)
    spec.check_rules([*found, *(layer.name for layer in skipped)])
    sites = []
    for name, parameter in found.items():
        site = spec.site(name)
        if site is None:
            skipped.append(Skipped(name, "skipped by a rule of the spec"))
        else:
            sites.append(replace(site, parameter=parameter))
    return _without_half_tied(model, sites, skipped)


def _without_half_tied(
    model: nn.Module, sites: list[SiteSpec], skipped: list[Skipped]
) -> tuple[list[SiteSpec], list[Skipped]]:
    """Skip sites whose Parameter is also used where it is not quantized, or not in the same way."""
    holders: dict[int, list[str]] = defaultdict(list)
    for name, module in model.named_modules():
        for parameter, tensor in module._parameters.items():
            if tensor is not None:
                holders[id(tensor)].append(f"{name}.{parameter}".lstrip("."))
    grids = {site.key: (site.weight_bits, site.granularity, site.group_size, site.symmetric) for site in sites}
    whole = []
    for site in sites:
        parameter = model.get_submodule(site.module)._parameters[site.parameter]
        other = next((key for key in holders[id(parameter)] if grids.get(key) != grids[site.key]), None)
        if other is None:
            whole.append(site)
        else:
            skipped.append(Skipped(site.name, f"its weight is also {other}, which is not quantized in the same way"))
    return whole, skipped
