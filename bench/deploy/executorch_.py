"""ExecuTorch with XNNPACK: the only importer of executorch.

XNNPACK computes a layer in integers only where its output is quantized as well, a ReLU between them allowed. Which
layers it takes is asked by lowering; the others keep their weights as float32 in the file, behind the same quantizers.
In integers it also rounds biases, so a second file beside the first, ``.exact.pte``, has all layers in float32: it
stands where the first is compared with the network, as ONNX Runtime's does with fusion off.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...core.errors import RecordError
from ...core.packages import require
from ..results.files import write_atomic
from .integer import IntegerLayer, QuantizedOutput, hold_output, quantize_input
from .runtimes import Array, Layers

MOST_IMAGES = 32
"""Of a call; memory for as many is planned in the file."""
EXACT = ".exact.pte"
KINDS = ("XNNConv2d", "XNNDepthwiseConv2d", "XNNFullyConnected", "XNNBatchMatrixMultiply")
FLOAT_OPERATORS = ("aten::convolution", "aten::linear", "aten::addmm", "aten::mm", "aten::bmm")


class _FloatWeights(nn.Module):
    """An integer layer whose weight was dequantized once; its input is still quantized."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: IntegerLayer) -> None:
        super().__init__()
        self.act, self.apply_weight, self.options = layer.act, layer.apply_weight, layer.options
        self.register_buffer("weight", layer.weight)
        self.register_buffer("bias", layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer's output in float32."""
        if self.act is not None:
            x = quantize_input(x, self.act, torch.int8)
        return self.apply_weight(x, self.weight, self.bias, **self.options)


def export_pte(module: nn.Module, shape: tuple[int, int, int], path: Path) -> int:
    """Write ``module`` as a program for XNNPACK, 1 to 32 images a call; returns its bytes.

    Args:
        module: in eval mode; maps images (N, C, H, W) float32 to logits (N, classes).
        shape: (C, H, W).
        path: of the file.
    """
    require("executorch", extra="executorch")
    layers = {name: m for name, m in module.named_modules() if isinstance(m, IntegerLayer)}
    floats = {name for name, layer in layers.items() if bool(layer.zero.any()) or layer.grouped}
    with _quiet():
        program = _lower(_with_floats(module, floats), shape)
        while refused := _refused(program):
            floats |= refused
            program = _lower(_with_floats(module, floats), shape)
        write_atomic(path, program.to_executorch().buffer)
        exact = path.with_suffix(EXACT)
        exact.unlink(missing_ok=True)
        if floats != set(layers):
            write_atomic(exact, _lower(_with_floats(module, layers), shape).to_executorch().buffer)
    return path.stat().st_size


def _with_floats(module: nn.Module, names: Collection[str]) -> nn.Module:
    """A copy for signed input codes in which these layers have float weights."""
    out = copy.deepcopy(module)
    for name, layer in list(out.named_modules()):
        rounds = isinstance(layer, QuantizedOutput)
        if isinstance(layer, IntegerLayer) or rounds:
            layer.input_dtype = torch.int8
        if isinstance(layer, IntegerLayer) and name in names:
            new = _FloatWeights(layer)
            if rounds:
                hold_output(new, cast(Any, layer).output_act, torch.int8)
            out.set_submodule(name, new)
    return out


@torch.no_grad()
def _lower(module: nn.Module, shape: tuple[int, int, int]) -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    from executorch.exir import to_edge_transform_and_lower  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    example = torch.zeros(MOST_IMAGES, *shape)  # below 16, choosing a convolution would bound the batch by 15
    batch = torch.export.Dim("batch", min=1, max=MOST_IMAGES)
    exported = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])


def _refused(program: Any) -> set[str]:
    """Layers whose weight would be dequantized outside XNNPACK, at each call."""
    exported = program.exported_program()
    buffers = exported.graph_signature.inputs_to_buffers
    nodes = (n for n in exported.graph.nodes if n.op == "call_function" and "dequantize_per_channel" in str(n.target))
    return {buffers[n.args[0].name].rpartition(".")[0] for n in nodes}


class ExecuTorch:
    """This is a loaded program; a call maps images (N, C, H, W) to logits.

    Args:
        path: the file.
        threads: of the whole process.
        batch: of every call, 1 to 32.
        integer: False opens the file with all layers in float32 that lies beside one with integer layers.
    """

    def __init__(self, path: Path, threads: int, batch: int, integer: bool = True) -> None:
        require("executorch", extra="executorch")
        exact = path.with_suffix(EXACT)
        self.path, self.batch = path if integer or not exact.exists() else exact, batch
        if not 1 <= batch <= MOST_IMAGES:
            raise RecordError(f"an ExecuTorch file takes 1 to {MOST_IMAGES} images a call, got {batch}")
        with _quiet():
            from executorch.extension.pybindings import portable_lib  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
            from executorch.runtime import Runtime, Verification  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

            portable_lib._unsafe_reset_threadpool(threads)
            try:
                self.program: Any = Runtime.get().load_program(
                    self.path.read_bytes(), verification=Verification.InternalConsistency
                )
                self.method: Any = self.program.load_method("forward")
            except (RuntimeError, OSError, ValueError) as error:
                raise RecordError(f"{path} is not an ExecuTorch program ({error})") from error

    def __call__(self, x: Array) -> Array:
        """Run one call."""
        out: Array = self.method.execute((torch.from_numpy(x),))[0].numpy()
        return out

    def layers(self) -> Layers:
        """Count layers in the graphs for XNNPACK that the file holds, and in what it leaves to other kernels."""
        from executorch.exir._serialize._program import deserialize_pte_binary  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        program = deserialize_pte_binary(self.path.read_bytes()).program
        total = integer = 0
        for plan in program.execution_plan:
            names = [plan.operators[c.instr_args.op_index].name for chain in plan.chains for c in chain.instructions
                     if hasattr(c.instr_args, "op_index")]  # fmt: skip
            total += sum(name in FLOAT_OPERATORS for name in names)
            for delegate in plan.delegates:
                found = _counted(program.backend_delegate_data[delegate.processed.index].data)
                total, integer = total + found.total, integer + found.integer
        return Layers(total, integer)


def _counted(data: bytes) -> Layers:
    """Layers of one XNNPACK graph; integer are those that read an int8 tensor."""
    from executorch.backends.xnnpack import serialization  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    from executorch.exir._serialize._flatbuffer import _flatc_decompile  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    header = XNNHeader.from_bytes(data[: XNNHeader.EXPECTED_LENGTH])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "schema.fbs").write_bytes(resources.files(serialization).joinpath("schema.fbs").read_bytes())
        (folder / "graph.bin").write_bytes(data[header.flatbuffer_offset :][: header.flatbuffer_size])
        _flatc_decompile(name, str(folder / "schema.fbs"), str(folder / "graph.bin"), ["--raw-binary"])
        graph = json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", (folder / "graph.json").read_text()))
    tensors = (v["xvalue_union"] for v in graph["xvalues"])
    types = {t["id_out"]: t["datatype"] for t in (t.get("tensor_value", t) for t in tensors)}
    nodes = [n["xnode_union"] for n in graph["xnodes"] if n["xnode_union_type"] in KINDS]
    return Layers(len(nodes), sum(types[n["input1_id"]] == "xnn_datatype_qint8" for n in nodes))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that this package's own imports and passes give about their interfaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
