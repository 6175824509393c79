"""The packed model file: b-bit integer codes, scales and the float rest in one safetensors file.

For a site ``conv``, a layer: ``conv.weight.codes`` (uint8, bit-packed, most significant bit first), ``conv.weight.scale``,
``conv.weight.zero_point`` where it is not zero, ``conv.weight.levels`` for a non-uniform grid. Everything else
keeps its state-dict name. Bits, shape, code offset, axis, group size, the input's grid and those of outputs are JSON in the
header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...core.errors import RecordError, one_line
from ...quantizers.export import OutputExport, QTensor, SiteExport
from ...quantizers.names import weight_key
from ..results.codec import WRONG
from ..results.files import write_atomic
from ..results.folder import read_file
from ..results.seal import check_seal, metadata, sealed
from .aliases import read_aliases
from .header import SiteHeader, read_header, write_entry
from .outputs import read_outputs, write_outputs

_META, _ALIASES, _OUTPUTS = "quantdg", "aliases", "outputs"


def pack_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes 0 .. 2**bits - 1 as a bit stream of ``bits`` bits each, padded to whole bytes."""
    return np.packbits(np.unpackbits(codes.reshape(-1, 1), axis=1)[:, 8 - bits :])


def unpack_codes(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Undo `pack_codes` for ``count`` codes."""
    stream = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(np.pad(stream, ((0, 0), (8 - bits, 0))), axis=1).reshape(count)


def _pack_weight(name: str, key: str, q: QTensor) -> tuple[dict[str, Tensor], int]:
    offset = int(q.codes.min())
    shifted = (q.codes.cpu().int() - offset).numpy()
    if shifted.max(initial=0) >= 2**q.bits:
        raise RecordError(f"codes of {name!r} must fit in {q.bits} bits, but span {shifted.max() + 1} values")
    return {
        f"{key}.codes": torch.from_numpy(pack_codes(shifted.astype(np.uint8), q.bits)),
        **grid_tensors(key, q),
    }, offset


def grid_tensors(key: str, q: QTensor) -> dict[str, Tensor]:
    """Return what a file stores of the grid of the weight ``key``: scale, a zero point that is not 0, a code book."""
    tensors = {f"{key}.scale": q.scale.cpu().clone()}
    if bool(q.zero_point.any()):
        tensors[f"{key}.zero_point"] = q.zero_point.cpu().float().clone()
    if q.levels is not None:
        tensors[f"{key}.levels"] = q.levels.cpu().clone()
    return tensors


def packed_bytes(
    floats: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    aliases: Mapping[str, str] | None = None,
    key: str = "",
    *,
    outputs: Mapping[str, OutputExport] | None = None,
) -> bytes:
    """Return the file's content.

    Args:
        floats: the float state dict; the weights of ``sites`` are left out of the file.
        sites: from `Quantizer.export`.
        aliases: further names, each with the one whose tensor it shares.
        key: of the cell it belongs to, empty for none; goes into the header.
        outputs: from `Quantizer.outputs`.
    """
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {}
    for name, site in sites.items():
        parts, offset = _pack_weight(name, site.key(name), site.weight)
        tensors.update(parts)
        header[name] = write_entry(site, offset)
    replaced = {site.key(name) for name, site in sites.items()}
    tensors.update({n: t.detach().cpu().contiguous() for n, t in floats.items() if n not in replaced})
    shared = {_ALIASES: json.dumps(dict(aliases))} if aliases else {}
    if outputs:
        shared[_OUTPUTS] = write_outputs(outputs)
    said = {"kind": "packed model", **({"key": key} if key else {})}
    return sealed(save(tensors, {_META: json.dumps(header), **shared}), said)


@dataclass(frozen=True)
class PackedModel:
    """This is a packed file in memory.

    Attributes:
        rest: float tensors by state-dict name.
        sites: quantized layers by name.
        aliases: further state-dict names, each with the one whose tensor it shares.
        checksum: of the file; empty for one of before 0.4.
        key: of the cell it belongs to; empty for none.
        outputs: the grids of quantized outputs, by module.
    """

    rest: dict[str, Tensor]
    sites: dict[str, SiteExport]
    aliases: dict[str, str] = field(default_factory=dict)
    checksum: str = ""
    key: str = ""
    outputs: dict[str, OutputExport] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, QTensor]:
        """The quantized weights by layer, as codes with their grid."""
        return {name: site.weight for name, site in self.sites.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the float state dict with dequantized weights."""
        stored = {**self.rest, **{s.key(name): s.weight.dequantize() for name, s in self.sites.items()}}
        return {**stored, **{name: stored[kept] for name, kept in self.aliases.items()}}


def _take(tensors: dict[str, Tensor], key: str, shape: tuple[int, ...], default: float | None = None) -> Tensor:
    """Remove a float tensor of the grid; RecordError unless it has the shape and only finite values."""
    tensor = tensors.pop(key, None)
    if tensor is None and default is not None:
        return torch.full(shape, default)
    if tensor is None or tuple(tensor.shape) != shape or not tensor.is_floating_point():
        found = "none" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise RecordError(f"{key!r} must be floats of shape {shape}, the file has {found}")
    if not bool(tensor.isfinite().all()):
        raise RecordError(f"{key!r} must be finite, the file has infinite or undefined values")
    return tensor


def _unpack_site(name: str, tensors: dict[str, Tensor], entry: SiteHeader) -> SiteExport:
    key, bits, count = weight_key(name, entry.parameter), entry.bits, entry.count
    stream = tensors.pop(f"{key}.codes", torch.empty(0, dtype=torch.uint8))
    if stream.dtype != torch.uint8 or stream.dim() != 1 or len(stream) != -(-count * bits // 8):
        raise RecordError(
            f"codes of {name!r} must be {count} numbers of {bits} bits, the file has {stream.numel()} bytes"
        )
    plain = torch.from_numpy(unpack_codes(stream.numpy(), bits, count))
    levels = tensors.pop(f"{key}.levels", None)
    if levels is not None:
        _check_levels(name, levels, int(plain.max()) + entry.offset, int(plain.min()) + entry.offset)
    scale = _take(tensors, f"{key}.scale", entry.scale_shape)
    if not bool((scale > 0).all()):
        raise RecordError(f"scale of {name!r} must be positive, the file has {float(scale.min())}")
    zero = _take(tensors, f"{key}.zero_point", entry.scale_shape, default=0.0)
    codes = plain.to(torch.int16).reshape(entry.shape) + entry.offset
    weight = QTensor(codes, scale, zero, bits, axis=entry.axis, levels=levels, group_size=entry.group_size)
    return SiteExport(weight, entry.act, parameter=entry.parameter)


def _check_levels(name: str, levels: Tensor, highest: int, lowest: int) -> None:
    if levels.dim() != 1 or not levels.is_floating_point() or lowest < 0 or highest >= len(levels):
        raise RecordError(
            f"the code book of {name!r} must have an entry for the codes {lowest} to {highest}, "
            f"the file has shape {tuple(levels.shape)}"
        )


def read_model(path: Path, key: str = "", checksum: str = "") -> PackedModel:
    """Read the whole content of a packed file.

    Args:
        path: of a regular file.
        key: of the cell it must belong to; empty for any.
        checksum: it must have this one; empty for any, and for none, as files of before 0.4.

    Raises:
        RecordError: it is not whole, not the wanted one, or its header lies.
    """
    try:
        data = read_file(path)
        found = check_seal(data, {"key": key} if key else {}, wanted=checksum)
        said = metadata(data)
        entries, tensors = read_header(said[_META]), load(data)
        sites = {name: _unpack_site(name, tensors, entry) for name, entry in entries.items()}
        stored = {*tensors, *(site.key(name) for name, site in sites.items())}
        aliases, outputs = read_aliases(said.get(_ALIASES), stored), read_outputs(said.get(_OUTPUTS), sites)
    except (SafetensorError, OSError, RuntimeError, RecordError, *WRONG) as error:
        raise RecordError(f"{path} is not a packed model ({one_line(error)})") from error
    return PackedModel(tensors, sites, aliases, found, key=said.get("key", ""), outputs=outputs)


def write_packed(
    path: Path,
    floats: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    aliases: Mapping[str, str] | None = None,
    *,
    key: str = "",
    outputs: Mapping[str, OutputExport] | None = None,
) -> int:
    """Write the file, read it back, check every weight bit for bit; returns its bytes."""
    store_packed(path, floats, sites, aliases, key=key, outputs=outputs)
    return path.stat().st_size


def store_packed(
    path: Path,
    floats: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    aliases: Mapping[str, str] | None = None,
    *,
    key: str = "",
    outputs: Mapping[str, OutputExport] | None = None,
) -> PackedModel:
    """Do as `write_packed`, and return what was read back."""
    write_atomic(path, packed_bytes(floats, sites, aliases, key, outputs=outputs))
    model = read_model(path, key)
    check_weights(path, model, sites)
    return model


def check_weights(path: Path, model: PackedModel, sites: Mapping[str, SiteExport]) -> None:
    """Raise RecordError unless a model read back from ``path`` has the weights of ``sites`` bit for bit."""
    for name, site in sites.items():
        if not torch.equal(model.weights[name].dequantize(), site.weight.dequantize().cpu()):
            raise RecordError(f"{path} read back must reproduce the weight of {name!r} bit for bit, but does not")
