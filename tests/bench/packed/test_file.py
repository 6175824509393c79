"""Packed files: exact codes, exact weights, honest bytes, clear refusals."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from quantdg.bench.packed.file import pack_codes, packed_bytes, read_model, unpack_codes, write_packed
from quantdg.bench.results.seal import metadata
from quantdg.core.errors import RecordError
from quantdg.quantizers.export import ActQuant, QTensor, SiteExport


def qtensor(bits, *, signed=True, axis=0, levels=None):
    generator = torch.Generator().manual_seed(bits)
    low = -(2 ** (bits - 1)) if signed else 0
    codes = torch.randint(low, low + 2**bits, (5, 3, 3, 3), generator=generator, dtype=torch.int16)
    scale = torch.rand(5, generator=generator) + 0.01 if axis == 0 else torch.tensor(0.37)
    zero = torch.zeros_like(scale) if signed else torch.full_like(scale, 2 ** (bits - 1))
    return QTensor(codes, scale, zero, bits, axis=axis, levels=levels)


@pytest.mark.parametrize("bits", range(1, 9))
def test_pack_and_unpack(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, 1001, dtype=np.uint8)
    packed = pack_codes(codes, bits)
    assert len(packed) == -(-1001 * bits // 8)
    assert (unpack_codes(packed, bits, 1001) == codes).all()


def test_packing_by_hand():
    assert pack_codes(np.array([1, 2, 3, 0], dtype=np.uint8), 2).tolist() == [0b01101100]
    assert pack_codes(np.array([127, 1], dtype=np.uint8), 7).tolist() == [0b11111110, 0b00000100]


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("signed", "axis"), [(True, 0), (False, 0), (True, None)])
def test_a_file_gives_the_weights_back_bit_for_bit(tmp_path, bits, signed, axis):
    q = qtensor(bits, signed=signed, axis=axis)
    floats = {"conv.weight": q.dequantize(), "fc.weight": torch.randn(2, 5), "bn.steps": torch.tensor(7)}
    sites = {"conv": SiteExport(q, ActQuant(0.1, 3, 0, 255, bits=8))}
    size = write_packed(tmp_path / "m.safetensors", floats, sites)
    assert size == (tmp_path / "m.safetensors").stat().st_size
    loaded = read_model(tmp_path / "m.safetensors").state()
    assert set(loaded) == set(floats)
    assert all(torch.equal(loaded[n], t) for n, t in floats.items())
    model = read_model(tmp_path / "m.safetensors")
    assert set(model.rest) == {"fc.weight", "bn.steps"}
    assert torch.equal(model.weights["conv"].codes, q.codes)


@pytest.mark.parametrize("zero", [0.0, 3.0])
def test_scales_of_groups_survive_and_cost_their_bytes(tmp_path, zero):
    q = qtensor(4, signed=zero == 0)
    scale = torch.rand(5, 3) + 0.01
    grouped = QTensor(q.codes, scale, torch.full((5, 3), zero), 4, axis=0, group_size=1)
    size = write_packed(tmp_path / "g.safetensors", {}, {"conv": SiteExport(grouped)})
    back = read_model(tmp_path / "g.safetensors").weights["conv"]
    assert (back.group_size, tuple(back.scale.shape)) == (1, (5, 3))
    assert torch.equal(back.dequantize(), grouped.dequantize())
    assert torch.equal(back.dequantize()[:, 1], (q.codes[:, 1] - zero) * scale[:, 1].reshape(5, 1, 1))
    content = load((tmp_path / "g.safetensors").read_bytes())
    assert sum(t.numel() * t.element_size() for t in content.values()) == -(-135 // 2) + 60 * (2 if zero else 1)
    assert size > write_packed(tmp_path / "c.safetensors", {}, {"conv": SiteExport(q)})


def test_a_code_book_survives(tmp_path):
    levels = torch.tensor([-1.0, -0.25, 0.0, 0.5])
    q = qtensor(2, signed=False, levels=levels)
    write_packed(tmp_path / "m.safetensors", {}, {"conv": SiteExport(q)})
    assert torch.equal(
        read_model(tmp_path / "m.safetensors").state()["conv.weight"],
        levels[q.codes.long()] * q.scale.reshape(5, 1, 1, 1),
    )


def test_codes_that_do_not_fit_are_refused():
    q = QTensor(torch.tensor([[-3, 5]], dtype=torch.int16), torch.tensor(1.0), torch.tensor(0.0), 3)
    with pytest.raises(RecordError, match="must fit in 3 bits, but span 9 values"):
        packed_bytes({}, {"conv": SiteExport(q)})


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"<html>" + b])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "m.safetensors"
    write_packed(path, {}, {"conv": SiteExport(qtensor(4))})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RecordError, match="is not a packed model"):
        read_model(path).state()


def test_a_header_that_lies_about_the_shape_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    content = packed_bytes({}, {"conv": SiteExport(qtensor(4))})
    lie = metadata(content)["quantdg"].replace("[5, 3, 3, 3]", "[9, 3, 3, 3]")
    assert lie != metadata(content)["quantdg"]
    path.write_bytes(save(load(content), {"quantdg": lie}))
    with pytest.raises(RecordError, match="must be 243 numbers of 4 bits"):
        read_model(path).state()


@pytest.mark.parametrize("zero", [7, -7.34, 0.5, 300.25])
def test_an_input_grid_keeps_its_zero_point_exactly(tmp_path, zero):
    act = ActQuant(0.1, zero, 0, 15, bits=4)
    write_packed(tmp_path / "m.safetensors", {}, {"conv": SiteExport(qtensor(4), act)})
    loaded = read_model(tmp_path / "m.safetensors").sites["conv"].act
    assert loaded == act
    assert type(loaded.zero_point) is type(zero)


def test_an_input_grid_by_hand():
    x = torch.tensor([-9.0, -0.74, -0.3, 0.0, 0.2, 0.5, 1.0, 99.0])
    quarter = ActQuant(1.0, 0.25, 0, 3, bits=2)  # the grid is -0.25, 0.75, 1.75, 2.75
    assert quarter.quantize(x).tolist() == [-0.25, -0.25, -0.25, -0.25, -0.25, 0.75, 0.75, 2.75]
    whole = ActQuant(0.5, 1, 0, 3, bits=2)  # -0.5, 0, 0.5, 1; halves go to the even multiple of the scale
    assert whole.quantize(torch.tensor([-0.25, 0.25, 0.75, 0.26])).tolist() == [0.0, 0.0, 1.0, 0.5]
