"""The grids of quantized outputs in a packed file: JSON in the header, by the module that returns the output."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict

from ...core.errors import RecordError
from ...quantizers.export import OutputExport, SiteExport
from .header import read_act, read_object


def write_outputs(outputs: Mapping[str, OutputExport]) -> str:
    """Return the JSON that `read_outputs` reads."""
    return json.dumps(
        {name: {**asdict(output.act), "readers": list(output.readers)} for name, output in outputs.items()}
    )


def read_outputs(text: str | None, sites: Mapping[str, SiteExport]) -> dict[str, OutputExport]:
    """Parse the outputs of a header; RecordError unless each is a grid, and that of the inputs of the layers that read it."""
    if text is None:
        return {}
    found: dict[str, OutputExport] = {}
    for name, raw in read_object(text, "outputs", "modules").items():
        readers = raw.pop("readers", None) if isinstance(raw, dict) else None
        act = read_act(f"the output of {name}", raw)
        if act is None or not isinstance(readers, list):
            raise RecordError(f"the output {name!r} must be an object with a grid and its readers")
        _check_readers(name, readers, {site for site, kept in sites.items() if kept.act == act})
        found[name] = OutputExport(act, tuple(readers))
    return found


def _check_readers(name: str, readers: list[object], layers: Collection[str]) -> None:
    wrong = next((reader for reader in readers if not isinstance(reader, str) or reader not in layers), None)
    if wrong is not None:
        raise RecordError(f"each reader of the output {name!r} must be a layer whose input has its grid")
