"""The files of one model: float, integer for a runtime, packed, compressed; their sizes are what the disk says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from ..packed.compressed import write_compressed
from ..packed.file import PackedModel, grid_tensors, write_packed
from ..packed.twin import load_float
from ..results.deployment import Bytes, Kind
from ..results.files import write_atomic
from .description import Description, describe_file
from .executorch_ import export_pte
from .integer import IntegerModel, build_integer, not_exportable
from .onnx_export import export_onnx
from .runtimes import PTE


@dataclass(frozen=True)
class Files:
    """`write_files` wrote these; ``integer`` is None without an integer form, ``float_file`` without a baseline."""

    kind: Kind
    reason: str
    bytes: Bytes
    float_file: Path | None
    integer_file: Path | None
    integer: IntegerModel | None


SIZE_ONLY = "inputs are float, so convolutions run in float32 on dequantized weights"


def deployment_kind(model: PackedModel) -> tuple[Kind, str]:
    """Return what kind of deployment a stored model allows, and why where it is not ``integer``."""
    if not model.sites:
        return "float32", ""
    reason = not_exportable(model.sites, model.outputs)
    if reason:
        return "not exportable", reason
    if all(site.act is None for site in model.sites.values()):
        return "size only", SIZE_ONLY
    return "integer", ""


def write_files(
    network: nn.Module,
    model: PackedModel,
    shape: tuple[int, int, int],
    out: Path,
    scratch: Path,
    baseline: bool = True,
    description: Description | None = None,
) -> Files:
    """Write every file of a model and measure it.

    Args:
        network: of the architecture; not changed.
        model: the stored weights.
        shape: (C, H, W) of the images.
        out: of the runtime file (integer, or float32 for a model without integers), a program for ExecuTorch where
            it ends in ``.pte``, else ONNX; the compressed file goes beside it under the suffix ``.safetensors.zst``.
        scratch: folder of the files that are needed for comparison only.
        baseline: write the network in float32 as a runtime file, to be timed beside the integer one.
        description: what ``out`` says of itself; its bytes count.
    """
    state, (kind, reason) = model.state(), deployment_kind(model)
    export = export_pte if out.suffix == PTE else export_onnx
    write_atomic(
        scratch / "float.safetensors", save({n: t.contiguous() for n, t in state.items() if n not in model.aliases})
    )
    float_file = out if kind == "float32" else scratch / f"float{out.suffix}" if baseline else None
    if float_file is not None:
        export(load_float(network, state), shape, float_file)
    integer, integer_file = None, None
    if kind in ("integer", "size only"):
        integer = build_integer(network, state, model.sites, model.outputs)
        export(integer.module, shape, out)
        integer_file = out
    if description is not None and out in (float_file, integer_file):
        describe_file(out, description)
    sizes = Bytes(
        float_file=(scratch / "float.safetensors").stat().st_size,
        float_runtime_file=float_file.stat().st_size if float_file else 0,
        runtime_file=integer_file.stat().st_size if integer_file else 0,
        packed_file=_write_packed(scratch / "packed.safetensors", model),
        compressed_file=write_compressed(
            out.with_suffix(".safetensors.zst"), model.rest, model.sites, model.aliases, model.outputs
        ),
        codes=sum(-(-s.weight.codes.numel() * s.weight.bits // 8) for s in model.sites.values()),
        scales=sum(_bytes(grid_tensors(site.key(name), site.weight)) for name, site in model.sites.items()),
        rest=_bytes(model.rest),
    )
    return Files(kind, reason, sizes, float_file, integer_file=integer_file, integer=integer)


def _write_packed(path: Path, model: PackedModel) -> int:
    return write_packed(path, model.rest, model.sites, model.aliases, key=model.key, outputs=model.outputs)


def _bytes(tensors: dict[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())
