"""With quantized outputs ONNX Runtime runs residuals and concatenations in integers, and it is the same model."""

import copy

import pytest
import torch
from torch import nn

from quantdg.bench.deploy.integer import build_integer
from quantdg.bench.deploy.onnx_export import export_onnx
from quantdg.bench.deploy.onnx_file import operators
from quantdg.bench.deploy.reference import prover
from quantdg.bench.deploy.runtimes import open_model
from quantdg.bench.packed.file import read_model, write_packed
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

RUNTIMES = ["onnxruntime", "openvino"]
LAYERS = {"resnet18": 20, "mobilenet_v2": 52, "squeezenet": 25}
FEWER = {
    # PACT's grid of signed values has 255 codes, so that a Clip stays in front of it, which ONNX Runtime does not fuse
    ("resnet18", "pact"): 9,
    ("mobilenet_v2", "pact"): 35,
    # torch.ao uses the code -128, so that a BatchNorm with a negative factor stays behind the convolution
    ("resnet18", "torch_ao"): 0,
    ("mobilenet_v2", "torch_ao"): 0,
    ("mobilenet_v2", "lsq"): 50,
}
"""Layers in integers, where a sixth of the BatchNorm factors is negative; in ONNX Runtime where it runs fewer than OpenVINO."""


class Small(nn.Module):
    """A residual, then two branches that are joined, and a pool of each kind."""

    def __init__(self):
        super().__init__()
        self.stem, self.act, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.inner, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.last = nn.ReLU()
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 3, padding=1)
        self.join = Join()
        self.head, self.mean = nn.Conv2d(8, 8, 1), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        x = self.pool(self.act(self.stem(x)))
        x = self.last(self.norm(self.inner(x)) + x)
        x = self.join(self.left(x), self.right(x))
        return self.classifier(self.mean(self.head(x)).flatten(1))


class Join(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], 1)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_small_network_runs_in_integers_throughout(tmp_path, bits):
    torch.manual_seed(0)
    network, images = Small().eval(), torch.randn(64, 3, 16, 16)
    prepared, quantizer = copy.deepcopy(network), LSQ(QuantSpec(7, bits, placement="full"))
    quantizer.prepare(prepared, images)
    quantizer.calibrate(prepared, [images])
    state = prepared.eval().state_dict()
    floats = {name: state[name] for name in network.state_dict()}
    write_packed(tmp_path / "m", floats, quantizer.export(prepared), outputs=quantizer.outputs(prepared))
    model = read_model(tmp_path / "m")
    integer = build_integer(network, model.state(), model.sites, model.outputs)
    assert integer.folded == 1
    export_onnx(integer.module, (3, 16, 16), tmp_path / "m.onnx")
    kinds = operators(tmp_path / "m.onnx")
    outputs = 9  # act, pool, norm, last, left, right, join, head; and the image, an input
    assert kinds.count("QuantizeLinear") == outputs
    judge = prover(network, model, images.numpy())
    for runtime in RUNTIMES:
        proof = judge.compare(open_model(runtime, tmp_path / "m.onnx", batch=64, integer=False))
        assert proof.holds, proof
        layers = open_model(runtime, tmp_path / "m.onnx").layers()
        if bits == 8:  # ONNX Runtime keeps the Clip of narrower grids apart
            assert layers.integer == layers.total - 1 == 5


@pytest.mark.slow
@pytest.mark.parametrize(("quantizer", "weight_bits"), [("lsq", 7), ("pact", 7), ("torch_ao", 8), ("nni_qat", 8)])
@pytest.mark.parametrize("arch", LAYERS)
def test_large_networks_run_in_integers(trained, tmp_path, arch, quantizer, weight_bits):
    t = trained(arch, quantizer, weight_bits, 8, 64, 64, place="full")
    path = tmp_path / "m.onnx"
    export_onnx(build_integer(t.network, t.model.state(), t.model.sites, t.model.outputs).module, t.shape, path)
    judge = prover(t.network, t.model, t.images.numpy())
    for runtime in RUNTIMES:
        proof = judge.compare(open_model(runtime, path, batch=64, integer=False))
        layers = open_model(runtime, path).layers()
        fewer = FEWER.get((arch, quantizer)) if runtime == "onnxruntime" else None
        print([arch, quantizer, runtime, proof.difference, proof.noise, layers])
        assert proof.holds, proof
        assert layers.integer == (LAYERS[arch] if fewer is None else fewer)
