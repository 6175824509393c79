"""The packed model file: b-bit integer codes, scales and the float rest in one safetensors file.

For a site ``conv``: ``conv.weight.codes`` (uint8, bit-packed, most significant bit first), ``conv.weight.scale``,
``conv.weight.zero_point`` where it is not zero, ``conv.weight.levels`` for a non-uniform grid. Everything else
keeps its state-dict name. Bits, shape, code offset, axis and the input's grid are JSON in the header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from quantdg.bench.store import write_atomic
from quantdg.core.errors import RecordError
from quantdg.quantizers.base import QTensor, SiteExport

_META = "quantdg"


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes 0 .. 2**bits - 1 as a bit stream of ``bits`` bits each, padded to whole bytes."""
    return np.packbits(np.unpackbits(codes.reshape(-1, 1), axis=1)[:, 8 - bits :])


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Inverse of `pack` for ``count`` codes."""
    stream = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(np.pad(stream, ((0, 0), (8 - bits, 0))), axis=1).reshape(count)


def _pack_weight(name: str, q: QTensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    offset = int(q.codes.min())
    shifted = (q.codes.cpu().int() - offset).numpy()
    if shifted.max(initial=0) >= 2**q.bits:
        raise RecordError(f"codes of {name!r} must fit in {q.bits} bits, but span {shifted.max() + 1} values")
    tensors = {
        f"{name}.weight.codes": torch.from_numpy(pack(shifted.astype(np.uint8), q.bits)),
        f"{name}.weight.scale": q.scale.cpu().contiguous(),
    }
    if bool(q.zero_point.any()):
        tensors[f"{name}.weight.zero_point"] = q.zero_point.cpu().float().contiguous()
    if q.levels is not None:
        tensors[f"{name}.weight.levels"] = q.levels.cpu().contiguous()
    return tensors, {"bits": q.bits, "shape": list(q.codes.shape), "offset": offset, "axis": q.axis}


def packed_bytes(floats: Mapping[str, Tensor], sites: Mapping[str, SiteExport]) -> bytes:
    """The file's content.

    Args:
        floats: the float state dict; the weights of ``sites`` are left out of the file.
        sites: from `Quantizer.export`.
    """
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {}
    for name, site in sites.items():
        parts, meta = _pack_weight(name, site.weight)
        tensors.update(parts)
        header[name] = {**meta, "act": asdict(site.act) if site.act else None}
    replaced = {f"{name}.weight" for name in sites}
    tensors.update({n: t.detach().cpu().contiguous() for n, t in floats.items() if n not in replaced})
    return save(tensors, {_META: json.dumps(header)})


def _unpack_weight(name: str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> QTensor:
    bits, shape = meta["bits"], tuple(meta["shape"])
    count = int(np.prod(shape))
    stream = tensors.pop(f"{name}.weight.codes").numpy()
    if not 1 <= bits <= 8 or len(stream) != -(-count * bits // 8):
        raise RecordError(f"codes of {name!r} must be {count} numbers of {bits} bits, the file has {len(stream)} bytes")
    codes = torch.from_numpy(unpack(stream, bits, count).astype(np.int16)).reshape(shape) + meta["offset"]
    scale = tensors.pop(f"{name}.weight.scale")
    zero = tensors.pop(f"{name}.weight.zero_point", torch.zeros_like(scale))
    return QTensor(codes, scale, zero, bits, meta["axis"], tensors.pop(f"{name}.weight.levels", None))


def read_packed(path: Path) -> tuple[dict[str, Tensor], dict[str, QTensor]]:
    """(float rest by state-dict name, quantized weight by site); RecordError where the file is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()[_META])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        weights = {name: _unpack_weight(name, tensors, meta) for name, meta in header.items()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path} is not a packed model ({type(error).__name__}: {error})") from error
    return tensors, weights


def load_packed(path: Path) -> dict[str, Tensor]:
    """The float state dict with dequantized weights."""
    rest, weights = read_packed(path)
    return {**rest, **{f"{name}.weight": q.dequantize() for name, q in weights.items()}}


def write_packed(path: Path, floats: Mapping[str, Tensor], sites: Mapping[str, SiteExport]) -> int:
    """Write the file, read it back, check every weight bit for bit; returns its bytes."""
    write_atomic(path, packed_bytes(floats, sites))
    loaded = load_packed(path)
    for name, site in sites.items():
        if not torch.equal(loaded[f"{name}.weight"], site.weight.dequantize().cpu()):
            raise RecordError(f"{path} read back must reproduce the weight of {name!r} bit for bit, but does not")
    return path.stat().st_size
