"""Timing: the arithmetic by hand, one real measurement in its own process."""

import pytest

from quantdg.bench.deploy.integer import build_integer
from quantdg.bench.deploy.measure import TimingTask, measure, summary
from quantdg.bench.deploy.onnx_export import export_onnx
from quantdg.bench.packed.twin import load_float
from quantdg.core.errors import QuantDGError

JOB = TimingTask("openvino", "i.onnx", "f.onnx", (3, 32, 32))


def test_the_ratio_is_taken_inside_each_round():
    timing = summary(JOB, [1.0, 2.0, 30.0, 4.0, 5.0], [2.0, 4.0, 60.0, 4.0, 5.0], calls=3)
    assert timing.ratio == 0.5
    assert (timing.ratio_q25, timing.ratio_q75) == (0.5, 1.0)
    assert timing.median_ms == 4.0
    assert timing.float_ms[0] == 4.0
    assert (timing.rounds, timing.calls, timing.clock) == (5, 3, "cpu")


def test_a_failed_process_says_why(monkeypatch):
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):  # it would have the last word
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(QuantDGError, match=r"exit code 1: .*is not an ONNX model"):
        measure(TimingTask("openvino", "missing.onnx", "missing.onnx", (3, 8, 8)))


@pytest.mark.parametrize(("runtime", "package"), [("openvino", "openvino"), ("onnxruntime", "onnxruntime")])
def test_a_measurement(trained, tmp_path, runtime, package):
    pytest.importorskip(package)
    pytest.importorskip("onnxscript")
    t = trained()
    export_onnx(build_integer(t.network, t.model.state(), t.model.sites).module, t.shape, tmp_path / "i.onnx")
    export_onnx(load_float(t.network, t.model.state()), t.shape, tmp_path / "f.onnx")
    job = TimingTask(runtime, str(tmp_path / "i.onnx"), str(tmp_path / "f.onnx"), t.shape, batch=2, threads=2, rounds=9)
    timing = measure(job)
    assert (timing.batch, timing.threads, timing.clock, timing.rounds) == (2, 2, "wall", 9)
    assert 0 < timing.q25_ms <= timing.median_ms <= timing.q75_ms
    assert timing.ratio_q25 <= timing.ratio <= timing.ratio_q75
