"""From a prepared network to what is measured: its deployed twin, and itself with the latent weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from ...quantizers.base import Quantizer
from ..experiment.flatness import FlatnessSettings
from ..training.data import CellData
from .measure import measure_flatness
from .network import deployed_state


def flatness_of(
    network: nn.Module,
    quantizer: Quantizer,
    twin: nn.Module,
    float_names: Collection[str],
    data: CellData,
    settings: FlatnessSettings,
) -> dict[str, Any]:
    """Run `measure_flatness` on a trained, prepared network.

    Args:
        network: carrying the weights to measure; left in eval mode, otherwise unchanged.
        quantizer: the one prepared on it.
        twin: a plain network of the same architecture on the same device, with the weights that training began from;
            overwritten.
        float_names: state-dict names of the network before prepare.
        data: as for `measure_flatness`.
        settings: as for `measure_flatness`.
    """
    sites = quantizer.export(network)
    state = deployed_state(network.state_dict(), sites)
    start = {name: p.detach().clone() for name, p in twin.named_parameters()}
    twin.load_state_dict({name: state[name] for name in float_names})
    grids = {name: site.act for name, site in sites.items() if site.act is not None}
    outputs = {name: output.act for name, output in quantizer.outputs(network).items()}
    return measure_flatness(twin, data, settings, grids, network if sites else None, start=start, outputs=outputs)
