"""ONNX files as data: checked on reading, stripped on writing; the only importer of onnx. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import RecordError
from ...core.packages import require

INPUT, OUTPUT = "images", "logits"
MAX_BYTES = 2**31 - 1
"""What a protobuf message can hold; weights are kept inside the file."""


def strip(model: Any) -> None:
    """Delete what runs nothing: stack traces of the exporter, doc strings, shapes of intermediate values."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *model.functions):
        part.doc_string = ""
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def read_onnx(path: Path) -> Any:
    """Return the parsed and checked file; RecordError unless it is ONNX with its weights inside.

    Weights in other files are refused: their paths come from the file and may point anywhere.
    """
    require("onnx")
    import onnx  # noqa: PLC0415

    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path} must be at most {MAX_BYTES} bytes, it has {path.stat().st_size}")
        model = onnx.load_model(path, load_external_data=False)
        outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
        if outside:
            raise RecordError(f"{path} must hold its weights, but {outside[0]!r} is in another file; export it again")
        onnx.checker.check_model(model)
    except RecordError:
        raise
    except Exception as error:
        raise RecordError(f"{path} is not an ONNX model ({type(error).__name__}: {error})") from error
    return model


def operators(path: Path) -> list[str]:
    """Return the operator of each node of a file that a runtime wrote."""
    require("onnx")
    import onnx  # noqa: PLC0415

    return [str(node.op_type) for node in onnx.load_model(path).graph.node]
