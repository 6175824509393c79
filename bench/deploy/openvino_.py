"""OpenVINO: the only importer of openvino.

Its defaults would change the numbers: float32 runs as bfloat16 where the processor can, and linear layers quantize
their inputs on the fly. Both are turned off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import RecordError
from ...core.packages import require
from .onnx_file import read_onnx
from .runtimes import Array, Layers

KINDS = ("Convolution", "FullyConnected", "MatMul")
INTEGER = ("i8", "u8")
"""Element types of an input that is multiplied in integers; weights alone may be int8 in a float layer."""


class OpenVINO:
    """This is a compiled file; a call maps images (N, C, H, W) to logits.

    Args:
        path: an ONNX file.
        threads: of the runtime.
        batch: the fixed batch of every call, which lets the runtime choose its layouts.
    """

    def __init__(self, path: Path, threads: int, batch: int, integer: bool = True) -> None:
        require("openvino")
        import openvino  # noqa: PLC0415

        read_onnx(path)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
        }
        try:
            model = openvino.Core().read_model(path)
            _, *rest = model.inputs[0].partial_shape
            model.reshape([batch, *rest])
            self.compiled: Any = openvino.Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise RecordError(f"OpenVINO cannot run {path}: {_first_line(error)}") from error
        self.request: Any = self.compiled.create_infer_request()
        self.tensor: Any = openvino.Tensor
        self.batch = batch

    def __call__(self, x: Array) -> Array:
        """Run one call with ``batch`` images."""
        self.request.set_input_tensor(self.tensor(x, shared_memory=True))
        self.request.infer()
        out: Array = self.request.get_output_tensor(0).data.astype(np.float32, copy=True)
        return out

    def layers(self) -> Layers:
        """Count layers in the graph that OpenVINO really executes."""
        counts = [0, 0]
        for op in self.compiled.get_runtime_model().get_ordered_ops():
            info = op.get_rt_info()
            if "layerType" in info and _text(info["layerType"]) in KINDS:
                counts[0] += 1
                counts[1] += op.get_input_element_type(0).get_type_name() in INTEGER
        return Layers(total=counts[0], integer=counts[1])


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
