"""Headers that lie are refused, in words, before anything large is allocated."""

import json

import pytest
import torch
from safetensors.torch import save

from quantdg.bench.packed.file import read_model, write_packed
from quantdg.bench.packed.header import read_header
from quantdg.core.errors import RecordError
from quantdg.quantizers.export import ActQuant, QTensor, SiteExport

GOOD = {"bits": 4, "shape": [2, 3], "offset": -8, "axis": 0, "act": None}
ACT = {"scale": 0.1, "zero_point": 3, "qmin": 0, "qmax": 255, "bits": 8}


def write(path, entry, **tensors):
    parts = {
        "fc.weight.codes": torch.tensor([0x12, 0x34, 0x56], dtype=torch.uint8),
        "fc.weight.scale": torch.tensor([0.5, 0.25]),
        **{f"fc.weight.{name}": t for name, t in tensors.items()},
    }
    path.write_bytes(save(parts, {"quantdg": entry if isinstance(entry, str) else json.dumps({"fc": entry})}))
    return path


def test_the_honest_file_reads(tmp_path):
    site = read_model(write(tmp_path / "m", GOOD | {"act": ACT})).sites["fc"]
    assert site.weight.codes.tolist() == [[-7, -6, -5], [-4, -3, -2]]
    assert site.act == ActQuant(0.1, 3, 0, 255, bits=8)


def test_the_grid_of_inputs_survives(tmp_path):
    q = QTensor(torch.tensor([[1, -2]], dtype=torch.int16), torch.tensor(0.1), torch.tensor(0.0), 3)
    for act in (None, ActQuant(0.25, 0, -128, 127, bits=8), ActQuant(0.1, 5, 0, 15, bits=4)):
        write_packed(tmp_path / "m", {}, {"fc": SiteExport(q, act)})
        assert read_model(tmp_path / "m").sites["fc"].act == act


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 9}, "bits of 'fc' must be a whole number from 1 to 8, got 9"),
        ({"bits": 0}, "bits of 'fc'"),
        ({"bits": 4.0}, "bits of 'fc'"),
        ({"bits": True}, "bits of 'fc'"),
        ({"bits": 5}, "must be 6 numbers of 5 bits, the file has 3 bytes"),
        ({"shape": [3, 3]}, "must be 9 numbers of 4 bits, the file has 3 bytes"),
        ({"shape": [2**32, 2**32]}, "must be 18446744073709551616 numbers"),
        ({"shape": [2**62]}, "shape of 'fc' must be 1 to 8 numbers above 0"),
        ({"shape": [-2, -3]}, "shape of 'fc'"),
        ({"shape": [0, 3]}, "shape of 'fc'"),
        ({"shape": []}, "shape of 'fc'"),
        ({"shape": [1] * 9}, "shape of 'fc'"),
        ({"shape": "2,3"}, "shape of 'fc'"),
        ({"offset": 10**30}, "offset of 'fc'"),
        ({"offset": "x" * 1000}, r"offset of 'fc'.*\.\.\."),
        ({"axis": 2}, "axis of 'fc' must be a whole number from 0 to 1, got 2"),
        ({"axis": -1}, "axis of 'fc'"),
        ({"axis": 1}, r"'fc.weight.scale' must be floats of shape \(3,\)"),
        ({"axis": None}, r"'fc.weight.scale' must be floats of shape \(\)"),
        (
            {"group_size": 2},
            r"group_size of 'fc' must divide the input channels of the shape \[2, 3\].*got 2 and axis 0",
        ),
        ({"group_size": 0}, "group_size of 'fc'"),
        ({"group_size": "3"}, "group_size of 'fc'"),
        ({"group_size": 3, "axis": None}, "got 3 and axis None"),
        ({"group_size": 1}, r"'fc.weight.scale' must be floats of shape \(2, 3\)"),
        ({"act": {"scale": 0.1}}, "input grid of 'fc' must have exactly"),
        ({"act": ACT | {"scale": -1.0}}, "input scale of 'fc' must be a finite number above 0"),
        ({"act": ACT | {"scale": 1e999}}, "input scale of 'fc'"),
        ({"act": ACT | {"qmax": 256}}, "input qmax of 'fc' must be a whole number from 1 to 255, got 256"),
        ({"act": ACT | {"zero_point": 1e999}}, "input zero_point of 'fc' must be from -32512 to 32512"),
        ({"act": ACT | {"zero_point": "7"}}, "input zero_point of 'fc'"),
    ],
)
def test_a_lie_is_refused(tmp_path, change, message):
    with pytest.raises(RecordError, match=message):
        read_model(write(tmp_path / "m", GOOD | change))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"codes": torch.zeros(3)}, "must be 6 numbers of 4 bits"),
        ({"codes": torch.zeros(1, 3, dtype=torch.uint8)}, "must be 6 numbers of 4 bits"),
        ({"scale": torch.tensor([0.5, -0.5])}, "scale of 'fc' must be positive"),
        ({"scale": torch.tensor([0.5, float("nan")])}, "must be finite"),
        ({"scale": torch.tensor([1, 2])}, "must be floats"),
        ({"zero_point": torch.zeros(5)}, r"must be floats of shape \(2,\)"),
        ({"levels": torch.zeros(4)}, "code book of 'fc'"),
        ({"levels": torch.zeros(4, 4)}, "code book of 'fc'"),
    ],
)
def test_tensors_that_do_not_fit_the_header_are_refused(tmp_path, tensors, message):
    with pytest.raises(RecordError, match=message):
        read_model(write(tmp_path / "m", GOOD, **tensors))


@pytest.mark.parametrize("text", ["", "[1]", "7", "{", "[" * 100_000, '{"fc": 3}', '{"fc": {"bits": 4}}'])
def test_a_header_that_is_no_header_is_refused(tmp_path, text):
    with pytest.raises(RecordError, match=r"header must be|entry of 'fc' must be"):
        read_header(text)
    with pytest.raises(RecordError, match="is not a packed model"):
        read_model(write(tmp_path / "m", text))


def test_a_layer_without_codes_is_refused(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(save({"x": torch.zeros(2)}, {"quantdg": json.dumps({"fc": GOOD})}))
    with pytest.raises(RecordError, match="the file has 0 bytes"):
        read_model(path)
