"""Model size as bytes of files that were written and read back; nothing is derived from bit widths."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ...core.errors import QuantizerError
from ...quantizers.base import Quantizer
from ...quantizers.export import QTensor
from ..results.folder import inside
from ..results.record import Sizes
from .aliases import aliases_of
from .file import PackedModel, store_packed


@torch.no_grad()
def write_model(
    network: nn.Module, quantizer: Quantizer, names: set[str], root: Path, key: str
) -> tuple[Sizes, PackedModel]:
    """Write the packed model of a cell below ``root``, and return its sizes and what was read back.

    Args:
        network: carrying the weights to store.
        quantizer: prepared on it.
        names: state-dict names of the float network.
        root: run folder.
        key: of the cell.

    Raises:
        QuantizerError: where the quantizer removed a float state-dict key.
    """
    state = network.state_dict()
    missing = sorted(names - set(state))
    if missing:
        raise QuantizerError(f"prepare must keep every float state-dict key, but {missing[0]!r} is gone")
    sites = quantizer.export(network)
    aliases = aliases_of({n: state[n] for n in names}, {site.key(name) for name, site in sites.items()})
    whole = torch.contiguous_format
    floats = {n: state[n].detach().cpu().clone(memory_format=whole) for n in sorted(names) if n not in aliases}
    path = f"models/{key}.safetensors"
    place = inside(root, path)
    model = store_packed(place, floats, sites, aliases, key=key, outputs=quantizer.outputs(network))
    sizes = Sizes(
        float_file=len(save(floats)),
        packed_file=place.stat().st_size,
        codes=sum(-(-q.codes.numel() * q.bits // 8) for q in model.weights.values()),
        scales=sum(_grid_bytes(q) for q in model.weights.values()),
        rest=sum(t.numel() * t.element_size() for t in model.rest.values()),
        path=path,
        checksum=model.checksum,
    )
    return sizes, model


def _grid_bytes(q: QTensor) -> int:
    """Bytes of what a packed file stores of a grid: scale, non-zero zero point, code book."""
    stored = [q.scale, *([q.zero_point] if bool(q.zero_point.any()) else []), *([] if q.levels is None else [q.levels])]
    return sum(t.numel() * t.element_size() for t in stored)
