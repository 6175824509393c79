"""ONNX Runtime: the only importer of onnxruntime.

Its defaults would change the numbers: a matrix product with a dequantized weight becomes one that quantizes its input
on the fly, and a weight-only convolution dequantizes anew at each call. Both are turned off. A convolution is fused to
integers only where its output is quantized as well.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ...core.errors import RecordError
from ...core.packages import require
from .onnx_file import INPUT, operators, read_onnx
from .runtimes import Array, Layers

INTEGER = ("QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat")
FLOAT = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulNBits")
QUIET = 3


class ONNXRuntime:
    """This is a session on a file; a call maps images (N, C, H, W) to logits.

    Args:
        path: an ONNX file.
        threads: of the runtime.
        batch: of every call.
        integer: fuse quantizers into integer operators; False folds weights to float32 once, when loading, and runs
            the quantizers of inputs as they stand.
    """

    def __init__(self, path: Path, threads: int, batch: int, integer: bool = True) -> None:
        require("onnxruntime")
        import onnxruntime  # noqa: PLC0415

        read_onnx(path)
        self.path, self.batch, self.integer = path, batch, integer
        self.runtime: Any = onnxruntime
        self.session = self._open(self._options(threads))

    def _options(self, threads: int) -> Any:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        if not self.integer:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        return options

    def _open(self, options: Any) -> Any:
        try:
            return self.runtime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RecordError(f"ONNX Runtime cannot run {self.path}: {error}") from error

    def __call__(self, x: Array) -> Array:
        """Run one call."""
        out: Array = self.session.run(None, {INPUT: x})[0]
        return out

    def layers(self) -> Layers:
        """Count layers in the optimized model that ONNX Runtime writes out."""
        with tempfile.TemporaryDirectory() as folder:
            options = self._options(1)
            options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
            self._open(options)
            kinds = operators(Path(options.optimized_model_filepath))
        integer = sum(k in INTEGER for k in kinds)
        return Layers(total=integer + sum(k in FLOAT for k in kinds), integer=integer)
