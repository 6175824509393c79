"""The compressed model file: codes in whole bytes, scales and float rest, under zstd; the only importer of zstandard.

Codes are not packed first: packing shifts equal codes to different bit positions, and a compressor sees bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ...core.errors import RecordError
from ...core.packages import require
from ...quantizers.export import OutputExport, SiteExport
from ..results.files import write_atomic
from .file import PackedModel, check_weights, packed_bytes, read_model

LEVEL, SHORTEST_MATCH = 19, 7
"""Shorter matches between codes are chance, and cost more than the entropy of what they replace."""
MAX_BYTES = 2**31 - 1


def compressed_bytes(
    floats: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    aliases: Mapping[str, str] | None = None,
    outputs: Mapping[str, OutputExport] | None = None,
) -> bytes:
    """Return the file's content; arguments are as for `quantdg.bench.packed.file.packed_bytes`."""
    require("zstandard")
    import zstandard  # noqa: PLC0415

    wide = {name: replace(site, weight=replace(site.weight, bits=8)) for name, site in sites.items()}
    settings = zstandard.ZstdCompressionParameters.from_level(LEVEL, min_match=SHORTEST_MATCH, write_checksum=True)
    content = packed_bytes(floats, wide, aliases, outputs=outputs)
    out: bytes = zstandard.ZstdCompressor(compression_params=settings).compress(content)
    return out


def read_compressed(path: Path) -> PackedModel:
    """Read a file back, with 8 for ``bits``; RecordError where it is damaged or would not fit in memory."""
    require("zstandard")
    import zstandard  # noqa: PLC0415

    data = path.read_bytes()
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if not 0 < size <= MAX_BYTES:
            raise RecordError(f"{path} must unpack to 1 to {MAX_BYTES} bytes, its header says {size}")
        content = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise RecordError(f"{path} is not a compressed model ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        plain.write_bytes(content)
        return read_model(plain)


def write_compressed(
    path: Path,
    floats: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    aliases: Mapping[str, str] | None = None,
    outputs: Mapping[str, OutputExport] | None = None,
) -> int:
    """Write the file, read it back, check every weight bit for bit; returns its bytes."""
    write_atomic(path, compressed_bytes(floats, sites, aliases, outputs))
    check_weights(path, read_compressed(path), sites)
    return path.stat().st_size
