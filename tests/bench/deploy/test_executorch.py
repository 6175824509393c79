"""Programs for ExecuTorch: the same model, and as many integer layers as XNNPACK takes."""

from functools import partial

import numpy as np
import pytest
import torch

from quantdg.bench.deploy import executorch_
from quantdg.bench.deploy.executorch_ import export_pte
from quantdg.bench.deploy.integer import build_integer
from quantdg.bench.deploy.measure import TimingTask, measure
from quantdg.bench.deploy.reference import prover
from quantdg.bench.deploy.runs import deploy_store
from quantdg.bench.deploy.runtimes import open_model, predict
from quantdg.bench.experiment.deploy import DeploySettings
from quantdg.bench.packed.twin import load_float
from quantdg.bench.results.deployment import deployments
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.core.errors import MissingPackageError, RecordError

INTEGER = {"convnet": 2, "resnet18": 8, "mobilenet_v2": 36}
"""Layers whose output goes to one quantizer of 8 bits; a narrower one is clamped before, which ends the fusion."""


def test_a_missing_package_comes_with_its_pip_line(monkeypatch, tmp_path):
    monkeypatch.setattr("quantdg.core.packages.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"needs executorch.*pip install 'quantdg\[executorch\]'"):
        open_model("executorch", tmp_path / "m.pte")
    with pytest.raises(MissingPackageError, match="needs executorch"):
        export_pte(torch.nn.Identity(), (3, 8, 8), tmp_path / "m.pte")


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """(arch, quantizer, weight bits, input bits) -> (Trained, its program)."""
    pytest.importorskip("executorch")
    kept = {}

    def make(arch="convnet", quantizer="lsq", weight_bits=7, act_bits=8):
        key = (arch, quantizer, weight_bits, act_bits)
        if key not in kept:
            t = trained(arch, quantizer, weight_bits, act_bits, 32 if arch == "convnet" else 64, 64, negative=0.0)
            path = tmp_path_factory.mktemp("pte") / "m.pte"
            export_pte(build_integer(t.network, t.model.state(), t.model.sites).module, t.shape, path)
            kept[key] = (t, path)
        return kept[key]

    return make


def check(t, path, arch, act_bits, narrower=0):
    judge = prover(t.network, t.model, t.images.numpy())
    proof = judge.compare(partial(predict, open_model("executorch", path, batch=32, integer=False)))
    assert proof.holds, proof
    runner = open_model("executorch", path)
    assert runner.layers().total == len(t.model.sites) + 1  # and the classifier
    assert runner.layers().integer == (INTEGER[arch] - narrower if act_bits == 8 else 0)
    images = t.images.numpy()
    spread = np.ptp(judge.truth)
    assert np.abs(predict(runner, images) - judge.truth).max() < 0.1 * spread


@pytest.mark.parametrize(
    ("quantizer", "weight_bits", "act_bits"),
    [("lsq", 7, None), ("lsq", 7, 8), ("lsq", 7, 4), ("pact", 7, 8), ("torch_ao", 8, 8), ("nni_qat", 8, 8)],
)
def test_the_same_model(exported, quantizer, weight_bits, act_bits):
    check(*exported("convnet", quantizer, weight_bits, act_bits), "convnet", act_bits)


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", ["lsq", "pact"])
@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2"])
def test_the_same_large_model(exported, arch, quantizer):
    narrower = 2 if (arch, quantizer) == ("mobilenet_v2", "pact") else 0  # PACT's signed grid has no -128
    check(*exported(arch, quantizer), arch, 8, narrower)


def test_a_cell_in_two_forms(quick):
    for package in ("executorch", "onnxscript", "onnxruntime", "zstandard"):
        pytest.importorskip(package)
    experiment = quick("quantizer=[lsq]", "act_bits=[8]")
    assert run_experiment(experiment) == 0
    store = RunStore(experiment.paths.out)
    (key,) = (r.key for r in store.records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    deploy_store(store, [key], experiment.paths, DeploySettings(("onnxruntime", "executorch"), batches=(1,), rounds=7))
    found = {d.runtime: d for d in deployments(store.root)}
    assert {d.kind for d in found.values()} == {"integer"}
    assert all(d.same_model and d.changed == 0 for d in found.values())
    for runtime, name in (("onnxruntime", f"{key}.onnx"), ("executorch", f"{key}.pte")):
        assert found[runtime].bytes.runtime_file == (store.root / "deploy" / name).stat().st_size
    assert found["executorch"].timings[0].clock == "cpu"
    assert found["executorch"].versions["executorch"]


def test_float_stays_float32(exported, tmp_path):
    t, _ = exported()
    network = load_float(t.network, t.model.state())
    export_pte(network, t.shape, tmp_path / "f.pte")
    with torch.no_grad():
        expected = network(t.images).numpy()
    runner = open_model("executorch", tmp_path / "f.pte", batch=32)
    assert np.abs(predict(runner, t.images.numpy()) - expected).max() < 1e-5
    assert runner.layers() == (4, 0)


def test_a_measurement(exported, tmp_path):
    t, path = exported()
    export_pte(load_float(t.network, t.model.state()), t.shape, tmp_path / "f.pte")
    timing = measure(TimingTask("executorch", str(path), str(tmp_path / "f.pte"), t.shape, batch=4, rounds=7))
    assert (timing.clock, timing.rounds) == ("cpu", 7)
    assert 0 < timing.q25_ms <= timing.median_ms <= timing.q75_ms


def test_what_is_no_program_is_refused(exported, tmp_path):
    _, path = exported()
    bad = tmp_path / "m.pte"
    for content in (b"", b"not a program", path.read_bytes()[:1000]):
        bad.write_bytes(content)
        with pytest.raises(RecordError, match=r"m\.pte is not an ExecuTorch program"):
            open_model("executorch", bad)
    with pytest.raises(RecordError, match="takes 1 to 32 images a call, got 33"):
        open_model("executorch", path, batch=executorch_.MOST_IMAGES + 1)
