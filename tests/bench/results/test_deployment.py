"""Deployment records survive the disk, and damaged ones stop nothing."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from quantdg.bench.results.deployment import Bytes, Deployment, Timing, deployments, write_deployment
from quantdg.bench.results.record import Labels
from quantdg.bench.results.store import Unreadable
from quantdg.core.errors import RecordError

LABELS = Labels("digits", "thick", 0, "erm", "lsq", "W7A8", "convnet", "digits")
TIMING = Timing(1, 1, "cpu", 0.5, 0.4, 0.6, (1.0, 0.9, 1.1), 0.5, 0.45, 0.55, 20, 3, 0.7)
WHOLE = Deployment(
    16 * "a",
    LABELS,
    "openvino",
    "integer",
    size=16,
    bytes=Bytes(*range(8)),
    difference=1e-3,
    limit=2e-3,
    timings=(TIMING,),
)


def test_round_trip(tmp_path):
    for record in (WHOLE, Deployment(16 * "b", LABELS, "onnxruntime", "not exportable", "a code book")):
        path = write_deployment(tmp_path, record)
        assert Deployment.from_json(path.read_text()) == record
    assert [d.key for d in deployments(tmp_path)] == [16 * "a", 16 * "b"]


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(RecordError, match=r"finite numbers only, but timings\.0\.float_ms\.1 is inf"):
        replace(WHOLE, timings=(replace(TIMING, float_ms=(1.0, float("inf"), 1.0)),)).to_json()


def test_whether_it_is_the_same_model():
    assert WHOLE.same_model is True
    assert replace(WHOLE, difference=3e-3).same_model is False
    assert replace(WHOLE, difference=None).same_model is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 99},
        {"kind": "fast"},
        {"labels": {}},
        {"timings": [{"batch": 1}]},
        {"bytes": 3},
        {"surprise": 1},
        {"size": "16"},
    ],
)
def test_damaged_records_are_refused_and_skipped(tmp_path, change):
    text = json.dumps(json.loads(WHOLE.to_json()) | change)
    with pytest.raises(RecordError, match="deployment"):
        Deployment.from_json(text)
    write_deployment(tmp_path, replace(WHOLE, key=16 * "f"))
    (tmp_path / "deploy" / "bad.json").write_text(text)
    bad, good = deployments(tmp_path)
    assert isinstance(bad, Unreadable)
    assert good.key == 16 * "f"


def test_reading_needs_no_torch_and_no_runtime():
    code = (
        "import sys, quantdg.bench.results.deployment, quantdg.bench.deploy.measure, quantdg.bench.commands.deploy; "
        "print({'torch', 'onnx', 'onnxruntime', 'openvino', 'zstandard'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
