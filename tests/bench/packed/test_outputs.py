"""Quantized outputs in the packed file: what is stored is what was measured, and a header that lies is refused."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from quantdg.bench.models.vision import vision
from quantdg.bench.packed.compressed import read_compressed, write_compressed
from quantdg.bench.packed.file import read_model, write_packed
from quantdg.bench.packed.proof import prove_packed
from quantdg.bench.packed.twin import Twin
from quantdg.core.errors import PackedModelError, RecordError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO

ACT = {"scale": 0.1, "zero_point": 3, "qmin": 0, "qmax": 255, "bits": 8}


def stored(kind, bits, tmp_path):
    """(trained ResNet-18 with quantized outputs, the model read back, a float network, images)."""
    torch.manual_seed(0)
    network, images = vision((3, 32, 32), 10, arch="resnet18").eval(), torch.randn(8, 3, 32, 32)
    trained, quantizer = copy.deepcopy(network), LSQ if kind == "lsq" else TorchAO
    quantizer = quantizer(QuantSpec(8, bits, placement="full"))
    quantizer.prepare(trained, images)
    quantizer.calibrate(trained, [images])
    state = trained.eval().state_dict()
    floats = {name: state[name] for name in network.state_dict()}
    write_packed(tmp_path / "m", floats, quantizer.export(trained), outputs=quantizer.outputs(trained))
    return trained, read_model(tmp_path / "m"), network, images


@pytest.mark.parametrize(("kind", "bits"), [("lsq", 8), ("torch_ao", 4)])
def test_the_file_gives_the_logits_measured_and_one_shifted_output_is_found(kind, bits, tmp_path):
    trained, model, network, images = stored(kind, bits, tmp_path)
    assert len(model.outputs) == 21
    logits = prove_packed(trained, model, network, images)
    if kind == "lsq":  # torch.ao multiplies by 1 / scale, so that last bits decide
        assert torch.equal(Twin(network, model.state(), model.sites, model.outputs).logits(images), logits)
    name = "featurizer.layer2.0.bn2"
    act = model.outputs[name].act
    output = replace(model.outputs[name], act=replace(act, zero_point=act.zero_point + 0.1))
    with pytest.raises(PackedModelError, match=f"{name} is off by"):
        prove_packed(trained, replace(model, outputs={**model.outputs, name: output}), network, images)
    with pytest.raises(PackedModelError, match="is off"):
        prove_packed(trained, replace(model, outputs={}), network, images)


def test_the_compressed_file_has_them_too(tmp_path):
    pytest.importorskip("zstandard")
    model = stored("lsq", 8, tmp_path)[1]
    few = {name: model.sites[name] for name in model.outputs["featurizer.layer1.1"].readers}
    outputs = {"featurizer.layer1.1": model.outputs["featurizer.layer1.1"]}
    write_compressed(tmp_path / "z", {}, few, outputs=outputs)
    assert read_compressed(tmp_path / "z").outputs == outputs


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"relu": ACT}, "must be an object with a grid and its readers"),
        ({"relu": None}, "must be an object with a grid and its readers"),
        ({"relu": {"readers": []}}, "input grid of 'the output of relu' must have exactly"),
        ({"relu": {**ACT, "scale": -1.0, "readers": []}}, "must be a finite number above 0"),
        (
            {"relu": {**ACT, "readers": ["fc"], "zero_point": 4}},
            "each reader of the output 'relu' must be a layer whose",
        ),
        ({"relu": {**ACT, "readers": [["fc"]]}}, "each reader of the output 'relu'"),
        ({"relu": {**ACT, "readers": ["other"]}}, "each reader of the output 'relu'"),
        ([], "the outputs must be an object of modules"),
    ],
)
def test_a_lie_is_refused(tmp_path, outputs, message):
    entry = {"bits": 4, "shape": [2, 3], "offset": -8, "axis": 0, "act": ACT}
    codes = torch.tensor([0x12, 0x34, 0x56], dtype=torch.uint8)
    parts = {"fc.weight.codes": codes, "fc.weight.scale": torch.tensor([0.5, 0.25])}
    said = {"quantdg": json.dumps({"fc": entry}), "outputs": json.dumps(outputs)}
    (tmp_path / "m").write_bytes(save(parts, said))
    with pytest.raises(RecordError, match=message):
        read_model(tmp_path / "m")
