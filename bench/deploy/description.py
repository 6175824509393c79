"""What a deployed file says of itself: everything that is needed to call it, inside an ONNX file and in a JSON beside any file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..packed.file import PackedModel
from ..results.files import write_atomic
from ..results.record import Record
from .onnx_file import INPUT, OUTPUT, read_onnx
from .runtimes import PTE
from .stored import StoredCell

Description = Mapping[str, Any]
"""Name -> plain data; the names of metadata_props in an ONNX file, the values there as JSON."""


def description_of(cell: StoredCell) -> Description:
    """Return what an engineer must know of a cell's file.

    ``input``: name, layout, element type, channel order, size (height, width), and mean and standard deviation of each channel on the
    scale of pixels divided by 255: the network expects ``(pixels / 255 - mean) / std``.
    """
    expected = cell.network.inputs or cell.dataset
    channels, height, width = cell.shape
    return {
        "classes": list(cell.dataset.classes),
        "input": {
            "name": INPUT,
            "layout": "NCHW",
            "type": "float32",
            "channels": "RGB" if channels == 3 else str(channels),
            "size": [height, width],
            "scale": "pixels 0 to 255, divided by 255",
            "mean": list(map(float, expected.mean)),
            "std": list(map(float, expected.std)),
        },
        "output": {"name": OUTPUT, "layout": "NC", "type": "float32", "values": "logits, one for each class"},
        **_origin(cell.record, cell.model),
    }


def _origin(record: Record, model: PackedModel) -> Description:
    labels = record.labels
    return {
        "quantizer": labels.quantizer,
        "bits": labels.bits,
        "quantized_layers": len(model.sites),
        "model": labels.model,
        "dataset": labels.dataset,
        "target": labels.target,
        "record": record.key,
    }


def describe_file(path: Path, description: Description) -> None:
    """Write a description into a file, where that is ONNX, and beside it as ``NAME.json``."""
    if path.suffix != PTE:
        model = read_onnx(path)
        del model.metadata_props[:]
        for name, value in description.items():
            model.metadata_props.add(key=name, value=json.dumps(value))
        write_atomic(path, model.SerializeToString())
    write_atomic(path.with_name(f"{path.name}.json"), f"{json.dumps(description, indent=1)}\n")
