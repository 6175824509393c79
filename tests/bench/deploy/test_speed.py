"""Speed and size on this machine, with pytest-benchmark: ``pytest -m speed tests/bench/deploy``.

The limits are the project's aims, for a processor with VNNI and a quiet machine: OpenVINO, batch 1, 224 pixels, process
CPU time.
"""

import json
from statistics import median

import numpy as np
import pytest
from safetensors.torch import save

from quantdg.bench.deploy.files import write_files
from quantdg.bench.deploy.measure import TimingTask, measure
from quantdg.bench.deploy.onnx_file import INPUT
from quantdg.bench.deploy.runtimes import open_model
from quantdg.bench.packed.compressed import write_compressed
from quantdg.bench.packed.file import write_packed
from quantdg.bench.results.deployment import Bytes, Deployment
from quantdg.bench.results.ensemble_size import ensemble_sizes
from quantdg.bench.results.provenance import machine
from quantdg.bench.results.record import Labels

pytestmark = [pytest.mark.speed]

for package in ("onnx", "onnxscript", "onnxruntime", "openvino", "zstandard"):
    pytest.importorskip(package)

LIMITS = {"resnet18": 0.30, "resnet50": 0.32, "mobilenet_v2": 0.45}
METHODS = [("lsq", 7), ("pact", 7), ("torch_ao", 8), ("nni_qat", 8)]


@pytest.fixture(scope="module")
def files(trained, tmp_path_factory):
    """(arch, quantizer, weight bits, input bits, placement) -> (Trained, Files)."""
    kept = {}

    def make(arch, quantizer="lsq", weight_bits=7, act_bits=8, place="inputs"):
        key = (arch, quantizer, weight_bits, act_bits, place)
        if key not in kept:
            t = trained(arch, quantizer, weight_bits, act_bits, 224, 4, negative=0.0, place=place)
            folder = tmp_path_factory.mktemp("files")
            kept[key] = (t, write_files(t.network, t.model, t.shape, folder / "m.onnx", folder))
        return kept[key]

    return make


def measured(files, runtime, batch, threads, *key):
    t, written = files(*key)
    job = TimingTask(runtime, str(written.integer_file), str(written.float_file), t.shape, batch, threads)
    timing = measure(job)
    layers = open_model(runtime, written.integer_file).layers()
    print(json.dumps([*key, runtime, batch, threads, round(timing.ratio, 3), timing.median_ms, timing.load, layers]))
    return timing


@pytest.mark.parametrize(("quantizer", "weight_bits"), METHODS)
@pytest.mark.parametrize("arch", LIMITS)
def test_ratio(files, arch, quantizer, weight_bits):
    if "vnni" not in machine()["cpu_flags"]:
        pytest.skip("the limits are for processors with VNNI")
    assert measured(files, "openvino", 1, 1, arch, quantizer, weight_bits).ratio <= LIMITS[arch]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("arch", LIMITS)
def test_ratio_of_quantized_outputs(files, arch, runtime):
    if "vnni" not in machine()["cpu_flags"]:
        pytest.skip("the limits are for processors with VNNI")
    assert measured(files, runtime, 1, 1, arch, "lsq", 8, 8, "full").ratio <= 0.5


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("arch", LIMITS)
def test_quantized_outputs_are_as_fast_as_the_runtimes_own_quantization(files, tmp_path, arch, runtime):
    """ONNX Runtime's static quantization of the same float network, all layers in integers, is what the machine gives."""
    trained, written = files(arch, "lsq", 8, 8, "full")
    quantized = quantize_by_onnxruntime(written.float_file, trained.shape, tmp_path / "theirs.onnx")
    ratios: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(2):
        for name, file in (("ours", written.integer_file), ("theirs", quantized)):
            job = TimingTask(runtime, str(file), str(written.float_file), trained.shape, 1, 1)
            ratios[name].append(measure(job).ratio)
    print(json.dumps([arch, runtime, {name: [round(r, 3) for r in found] for name, found in ratios.items()}]))
    assert median(ratios["ours"]) <= 1.15 * median(ratios["theirs"])


def quantize_by_onnxruntime(file, shape, target):
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            numbers = np.random.default_rng(0)
            self.left = iter([{INPUT: numbers.normal(size=(4, *shape)).astype(np.float32)} for _ in range(2)])

        def get_next(self):
            return next(self.left, None)

    kinds = {"activation_type": quantization.QuantType.QUInt8, "weight_type": quantization.QuantType.QInt8}
    quantization.quantize_static(file, target, Images(), per_channel=True, **kinds)
    return target


@pytest.mark.parametrize(("batch", "threads"), [(32, 1), (1, 2), (32, 2)])
@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2"])
def test_ratio_of_batches_and_threads(files, arch, batch, threads):
    assert measured(files, "openvino", batch, threads, arch).ratio < 0.9


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("arch", LIMITS)
def test_weights_alone_gain_nothing(files, arch, runtime):
    timing = measured(files, runtime, 1, 1, arch, "lsq", 7, None)
    assert timing.ratio > 0.85
    assert open_model(runtime, files(arch, "lsq", 7, None)[1].integer_file).layers().integer == 0


@pytest.mark.parametrize("arch", LIMITS)
def test_onnx_runtime_fuses_some(files, arch):
    timing = measured(files, "onnxruntime", 1, 1, arch)
    assert timing.ratio < 1.2


@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("arch", LIMITS)
@pytest.mark.benchmark(max_time=1.0, warmup=True)
def test_call(benchmark, files, arch, runtime, arithmetic):
    t, written = files(arch)
    path = written.integer_file if arithmetic == "int8" else written.float_file
    runner = open_model(runtime, path)
    benchmark.group = f"{arch} 224 px, {runtime}, batch 1, 1 thread"
    benchmark.extra_info["layers"] = list(runner.layers())
    benchmark(runner, t.images[:1].numpy())


def test_sizes_of_five_resnet50(trained, tmp_path):
    """An ensemble of five seeds, every file written and measured; QT-DoG says 1.1 times one float model."""
    (ensemble,) = ensemble_sizes(_member(trained, seed, tmp_path) for seed in range(5))
    print(f"five: packed {ensemble.packed_ratio:.4f}, zstd {ensemble.compressed_ratio:.4f} of one float model")
    assert ensemble.packed_ratio == pytest.approx(1.1, abs=0.05)
    assert ensemble.compressed_ratio < 0.8


def _member(trained, seed, folder):
    model = trained("resnet50", act_bits=None, count=2, negative=0.0, seed=seed).model
    packed = write_packed(folder / "m.safetensors", model.rest, model.sites)
    compressed = write_compressed(folder / "m.safetensors.zst", model.rest, model.sites)
    sizes = Bytes(len(save(model.state())), 0, 0, packed, compressed, 0, 0, 0)
    print(seed, sizes)
    assert packed <= 22.6e6
    assert compressed <= 14.5e6
    labels = Labels("random", "none", seed, "erm", "lsq", "W7", "resnet50", "none")
    return Deployment(str(seed), labels, "none", "size only", bytes=sizes)
