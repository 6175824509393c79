"""Compressed files give the model back, or say what is wrong."""

import pytest
import torch

from quantdg.bench.packed.compressed import MAX_BYTES, read_compressed, write_compressed
from quantdg.bench.packed.file import write_packed
from quantdg.core.errors import RecordError
from quantdg.quantizers.export import ActQuant, QTensor, SiteExport

zstandard = pytest.importorskip("zstandard")


def site(bits, *, levels=None, std=None):
    generator = torch.Generator().manual_seed(bits)
    spread = 2.0 ** (bits - 1)
    codes = (torch.randn(64, 32, 3, 3, generator=generator) * (std or spread / 4)).round().clamp(-spread, spread - 1)
    codes = codes - codes.min() if levels is not None else codes
    return SiteExport(
        QTensor(
            codes.to(torch.int16),
            torch.rand(64, generator=generator) + 0.1,
            torch.zeros(64),
            bits,
            axis=0,
            levels=levels,
        ),
        ActQuant(0.1, 0, -128, 127, bits=8),
    )


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_width_comes_back(tmp_path, bits):
    sites, rest = {"conv": site(bits)}, {"fc.weight": torch.randn(4, 64)}
    size = write_compressed(tmp_path / "m.zst", rest, sites)
    assert size == (tmp_path / "m.zst").stat().st_size
    loaded = read_compressed(tmp_path / "m.zst")
    assert torch.equal(loaded.sites["conv"].weight.codes, sites["conv"].weight.codes)
    assert loaded.sites["conv"].act == sites["conv"].act
    assert torch.equal(loaded.state()["fc.weight"], rest["fc.weight"])


def test_bytes_compress_better_than_packed_bits(tmp_path):
    sites = {"conv": site(7, std=5.0)}  # as LSQ's first step spreads normal weights
    packed = write_packed(tmp_path / "m.safetensors", {}, sites)
    compressed = write_compressed(tmp_path / "m.zst", {}, sites)
    of_packed = len(zstandard.ZstdCompressor(level=19).compress((tmp_path / "m.safetensors").read_bytes()))
    assert compressed < 0.9 * of_packed
    assert compressed < 0.75 * packed


def test_a_code_book_comes_back(tmp_path):
    sites = {"conv": site(4, levels=torch.linspace(-1, 1, 16))}
    write_compressed(tmp_path / "m.zst", {}, sites)
    assert torch.equal(read_compressed(tmp_path / "m.zst").state()["conv.weight"], sites["conv"].weight.dequantize())


def test_damage_is_noticed(tmp_path):
    path = tmp_path / "m.zst"
    write_compressed(path, {}, {"conv": site(7)})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (b"", b"no frame at all", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="is not a compressed model"):
            read_compressed(path)


def test_a_frame_that_claims_too_much_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "m.zst"
    size = (MAX_BYTES + 1).to_bytes(8, "little")
    path.write_bytes(b"\x28\xb5\x2f\xfd\xe0" + size + b"\x01\x00\x00")
    with pytest.raises(RecordError, match=f"must unpack to 1 to {MAX_BYTES} bytes, its header says {MAX_BYTES + 1}"):
        read_compressed(path)
