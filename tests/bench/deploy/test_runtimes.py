"""One ONNX file in both runtimes: the same model, run on integers where it says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from quantdg.bench.deploy.integer import build_integer
from quantdg.bench.deploy.onnx_export import export_onnx
from quantdg.bench.deploy.onnx_file import read_onnx
from quantdg.bench.deploy.reference import prover
from quantdg.bench.deploy.runtimes import open_model, predict, suffix
from quantdg.bench.experiment.offers import offers
from quantdg.bench.packed.twin import NOISE_FACTOR, NUDGES, Twin, load_float
from quantdg.core.errors import MissingPackageError, RecordError, UnknownNameError
from quantdg.core.packages import require
from quantdg.quantizers.export import SiteExport

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

READERS = [r for r in sorted(offers("runtime")) if suffix(r) == ".onnx"]
IMAGES = 64
SIZES = {"convnet": 32, "resnet18": 64, "mobilenet_v2": 64, "squeezenet": 64, "vit": 32}
LAYERS = {"convnet": 3, "resnet18": 20, "mobilenet_v2": 52, "squeezenet": 25, "vit": 9}
FLOAT_IN_OPENVINO = {"vit": 5}  # patch embedding and the layers behind attention and GELU
METHODS = [("lsq", 7, None), ("lsq", 7, 8), ("pact", 7, 8), ("torch_ao", 8, 8), ("nni_qat", 8, 8)]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """(arch, quantizer, weight bits, input bits) -> (Trained, its ONNX file)."""
    kept = {}

    def make(arch="convnet", quantizer="lsq", weight_bits=7, act_bits=8, count=IMAGES):
        key = (arch, quantizer, weight_bits, act_bits, count)
        if key not in kept:
            t = trained(arch, quantizer, weight_bits, act_bits, SIZES[arch], count)
            path = tmp_path_factory.mktemp("onnx") / "m.onnx"
            export_onnx(build_integer(t.network, t.model.state(), t.model.sites).module, t.shape, path)
            kept[key] = (t, path)
        return kept[key]

    return make


def check(t, path, runtime, arch, act_bits):
    images = t.images.numpy()
    judge = prover(t.network, t.model, images)
    proof = judge.compare(open_model(runtime, path, batch=len(images), integer=False))
    assert proof.holds, proof
    print(json.dumps([arch, runtime, act_bits, proof.difference, proof.own_noise, proof.noise]))
    if act_bits is None:
        assert proof.limit == 1e-4
        with torch.no_grad():
            assert np.abs(open_model(runtime, path, batch=IMAGES)(images) - t.prepared(t.images).numpy()).max() < 1e-4
    layers = open_model(runtime, path).layers()
    assert layers.total >= LAYERS[arch]
    if runtime == "openvino":
        assert layers.integer == (LAYERS[arch] - FLOAT_IN_OPENVINO.get(arch, 0) if act_bits else 0)


@pytest.mark.parametrize("runtime", READERS)
@pytest.mark.parametrize(("quantizer", "weight_bits", "act_bits"), METHODS)
def test_the_same_model(exported, runtime, quantizer, weight_bits, act_bits):
    check(*exported("convnet", quantizer, weight_bits, act_bits), runtime, "convnet", act_bits)


@pytest.mark.parametrize("runtime", READERS)
@pytest.mark.parametrize(("arch", "act_bits"), [("resnet18", 8), ("mobilenet_v2", None)])
def test_the_same_large_model(exported, runtime, arch, act_bits):
    check(*exported(arch, "lsq", 7, act_bits), runtime, arch, act_bits)


@pytest.mark.parametrize(("act_bits", "integer"), [(None, 0), (8, 1)])
def test_scales_of_groups_are_run_exactly_and_counted_as_float(trained, tmp_path, act_bits, integer):
    """The convnet's layers have 3, 16 and 32 inputs: in groups of 8 the first has one group, so it alone is in integers."""
    t = trained("convnet", "lsq", 4, act_bits, SIZES["convnet"], IMAGES, group=8)
    assert [tuple(s.weight.scale.shape) for s in t.model.sites.values()] == [(16,), (32, 2), (64, 4)]
    model, path = build_integer(t.network, t.model.state(), t.model.sites), tmp_path / "m.onnx"
    assert (model.folded, model.unfolded) == (3, {})
    export_onnx(model.module, t.shape, path)
    for runtime in READERS:
        proof = prover(t.network, t.model, t.images.numpy()).compare(
            open_model(runtime, path, batch=IMAGES, integer=False)
        )
        assert proof.holds, proof
        assert open_model(runtime, path).layers().integer <= integer


def test_values_between_two_codes_may_go_either_way_and_another_code_is_noticed(trained):
    """The inputs of the first layer lie just below the middle: float32 and float64 agree, a runtime may go up."""
    t = trained("convnet", "lsq", 4, 8, SIZES["convnet"], IMAGES, group=8)
    site = next(iter(t.model.sites.values()))
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(site.act.qmin, site.act.qmax, t.images.shape, generator=generator)
    images = ((codes + 0.5 - site.act.last_bits / 2 - site.act.zero_point) * site.act.scale).float()
    judge = prover(t.network, t.model, images.numpy())
    twin = Twin(t.network, t.model.state(), t.model.sites)
    for nudge in NUDGES:
        proof = judge.compare(lambda x, nudge=nudge: twin.logits(torch.from_numpy(x), nudge).numpy())
        assert proof.holds, proof
    assert max(_changes(judge, twin, nudge) for nudge in NUDGES) > NOISE_FACTOR * judge.noise
    for layer, changed in t.model.sites.items():
        weight = replace(changed.weight, codes=changed.weight.codes.roll(1, 0))
        other = replace(t.model, sites={**t.model.sites, layer: SiteExport(weight, changed.act)})
        wrong = Twin(t.network, other.state(), other.sites)
        assert not judge.compare(lambda x, wrong=wrong: wrong.logits(torch.from_numpy(x)).numpy()).holds, layer


def _changes(judge, twin, nudge):
    return judge.compare(lambda x: twin.logits(torch.from_numpy(x), nudge).numpy()).difference


@pytest.mark.slow
@pytest.mark.parametrize("runtime", READERS)
@pytest.mark.parametrize(("quantizer", "weight_bits", "act_bits"), METHODS)
@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2", "squeezenet", "vit"])
def test_the_same_model_everywhere(exported, runtime, arch, quantizer, weight_bits, act_bits):
    check(*exported(arch, quantizer, weight_bits, act_bits), runtime, arch, act_bits)


@pytest.mark.parametrize("act_bits", [2, 4, 7])
def test_narrow_input_grids(exported, act_bits):
    many = 512  # on few images no value may lie so close between two codes that its last bit counts
    check(*exported("convnet", "lsq", 7, act_bits, many), "openvino", "convnet", act_bits)


@pytest.mark.parametrize("change", ["scale", "code", "input"])
def test_another_model_is_noticed(exported, change):
    t, path = exported()
    name = next(iter(t.model.sites))
    site = t.model.sites[name]
    if change == "scale":
        site = SiteExport(replace(site.weight, scale=site.weight.scale * 1.05), site.act)
    elif change == "code":
        site = SiteExport(replace(site.weight, codes=site.weight.codes.roll(1, 0)), site.act)
    else:
        site = SiteExport(site.weight, replace(site.act, scale=site.act.scale * 1.05))
    other = replace(t.model, sites={**t.model.sites, name: site})
    judge = prover(t.network, other, t.images.numpy())
    for runtime in READERS:
        assert not judge.compare(open_model(runtime, path, batch=IMAGES)).holds


def test_the_file_holds_int8_and_no_traces(exported):
    t, path = exported()
    model = read_onnx(path)
    kinds = [i.data_type for i in model.graph.initializer if len(i.dims) == 4]
    assert kinds == [onnx.TensorProto.INT8] * 3
    assert [o.version for o in model.opset_import if o.domain == ""] == [21]
    assert not any(n.metadata_props or n.doc_string for n in model.graph.node)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    codes = {i.dims[0]: onnx.numpy_helper.to_array(i) for i in model.graph.initializer if len(i.dims) == 4}
    for site in t.model.sites.values():
        stored = site.weight.codes.numpy()
        assert (np.abs(codes[len(stored)]) == np.abs(stored)).all()


def test_any_number_of_images(exported):
    t, path = exported()
    images = t.images.numpy()
    whole = open_model("onnxruntime", path, batch=IMAGES)(images)
    parts = predict(open_model("openvino", path, batch=5), images)
    assert parts.shape == whole.shape
    assert (parts.argmax(1) == whole.argmax(1)).all()


def test_float_stays_float32(trained, tmp_path):
    t = trained(act_bits=None)
    network = load_float(t.network, t.model.state())
    export_onnx(network, t.shape, tmp_path / "f.onnx")
    with torch.no_grad():
        expected = network(t.images).numpy()
    for runtime in READERS:
        runner = open_model(runtime, tmp_path / "f.onnx", batch=16)
        assert np.abs(runner(t.images.numpy()) - expected).max() < 1e-5
        assert runner.layers().integer == 0


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 50])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    for runtime in READERS:
        with pytest.raises(RecordError, match="is not an ONNX model"):
            open_model(runtime, path)


def test_weights_outside_the_file_are_refused(exported, tmp_path):
    _, path = exported()
    model = onnx.load_model(path)
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    outside = tmp_path / "m.onnx"
    outside.write_bytes(model.SerializeToString())
    with pytest.raises(RecordError, match="must hold its weights"):
        open_model("onnxruntime", outside)


def test_an_unknown_runtime_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
        open_model("openvin", tmp_path / "m.onnx")


def test_a_missing_package_comes_with_its_pip_line():
    with pytest.raises(MissingPackageError, match=r"no_such_runtime.*pip install 'quantdg\[deploy\]'"):
        require("onnx", "no_such_runtime")
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[executorch\]'"):
        require("no_such_runtime", extra="executorch")
