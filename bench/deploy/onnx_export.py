"""torch module -> one ONNX file that ONNX Runtime and OpenVINO both read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...core.packages import require
from ..results.files import write_atomic
from .onnx_file import INPUT, OUTPUT, strip

OPSET = 21


def export_onnx(module: nn.Module, shape: tuple[int, int, int], path: Path) -> int:
    """Write ``module`` as ONNX (opset 21, dynamic batch, weights inside, no stack traces); returns its bytes.

    Args:
        module: in eval mode; maps images (N, C, H, W) float32 to logits (N, classes).
        shape: (C, H, W).
        path: of the file.
    """
    require("onnx", "onnxscript")
    example = torch.zeros(2, *shape)
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model: Any = program.model_proto
    strip(model)
    write_atomic(path, model.SerializeToString())
    return path.stat().st_size
