"""What no move of a file may change: the keys of stored cells and the bits that a cell trains to."""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from quantdg.bench.experiment import load as config
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.training.data import load_dataset
from quantdg.quantizers.lsq import LSQ

PINS = json.loads((Path(__file__).parent / "identity_pins.json").read_text())
CONFIGURATIONS = {
    "demo": ["experiment=demo"],
    "bits and activations": [
        "quantizer=[float,lsq,pact,apot,inq]",
        "bits=[2,4,8]",
        "algorithm=[vrex,dann]",
        "seeds=[1,4]",
    ],
    "sam, mixup, averages": ["step_rule=sam", "transform=[mixup,mixstyle]", "averaging=[ema,sma,swad_reference]"],
    "matched noise": ["match=noise", "match_to=lsq", "quantizer=[lsq,torch_ao,nni_qat]", "algorithm=[fishr,mldg]"],
    "another model": [
        "model=resnet18",
        "protocol=scratch",
        "start_steps=[10,20]",
        "protocol.steps=40",
        "targets=[thick]",
    ],
}
NUMBERS = [
    "protocol.lr=1",
    "protocol.weight_decay=0",
    "dataset.severity=2",
    "algorithm=[coral]",
    "algorithm.coral.gamma=2",
    "transform=[mixup]",
    "transform.mixup.alpha=1",
    "step_rule=sam",
    "step_rule.rho=2",
    "optimizer=sgd",
    "optimizer.momentum=0",
    "schedule=cosine",
    "schedule.floor=0",
    "averaging=[ema]",
    "averaging.ema.decay=0",
    "quantizer=[lsq,float]",
    "quantizer.lsq.lr_ratio=1",
    "quantizer.lsq.scale_factor=2",
    "match=noise",
    "match_to=lsq",
]
"""One number of each group, as a whole number."""
TINY = [
    "targets=[thick]",
    "seeds=1",
    "protocol.steps=12",
    "protocol.start_step=5",
    "protocol.check_every=2",
    "model.width=4",
    "launcher.jobs=0",
]


def machine() -> str:
    """What bits may depend on: torch, and the processor's model."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"torch {torch.__version__}, {names[0] if names else platform.processor()}"


def keys_of(overrides, tmp_path):
    cells = session.load_and_plan(config.load([f"out={tmp_path}", *overrides]))
    return [len(cells), hashlib.sha256("\n".join(cell.key for cell in cells).encode()).hexdigest()]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_keys_are_pinned(name, tmp_path):
    assert keys_of(CONFIGURATIONS[name], tmp_path) == PINS["keys"][name]


def test_bits_are_pinned(tmp_path):
    pinned = PINS["bits"].get(machine())
    if pinned is None:
        pytest.skip(f"bits are pinned for other machines than {machine()}")
    words = ["quantizer=[float,lsq,torch_ao]", "algorithm=[coral]", f"out={tmp_path / 'runs'}"]
    session.run_experiment(config.load([*TINY, *words]))
    records = [r for r in RunStore(tmp_path / "runs").records() if isinstance(r, Record)]
    assert {r.labels.quantizer: r.provenance["final_weights_sha256"] for r in records} == pinned


class Nested(LSQ):
    """A plugin with settings inside a setting."""

    def __init__(self, spec, seed=0, *, further: Mapping[str, Any]):
        super().__init__(spec, seed)


def cells_with(words, fraction):
    """The cells of a grid with a fraction written behind its whole numbers, also behind those of a nested setting."""
    one, half = f"1{fraction}", "[2.0,{a: 1.0}]" if fraction else "[2,{a: 1}]"
    nested = f"{{_target_: {Nested.__module__}.Nested, spec: {{}}, further: {{x: {one}, y: {half}}}}}"
    written = [f"{word}{fraction}" if word[-1].isdigit() else word for word in words]
    experiment = config.load([*written, f"+quantizer.nested={nested}", "targets=[thick]", "seeds=1"])
    return experiment.cells(
        {setup.name: load_dataset(setup.dataset, experiment.paths).outline for setup in experiment.setups}
    )


def test_a_whole_number_with_a_fraction_is_the_same_number():
    plain, other = cells_with(NUMBERS, ""), cells_with(NUMBERS, ".0")
    assert [(cell.key, cell.labels) for cell in plain] == [(cell.key, cell.labels) for cell in other]
    assert len(plain) == 3
    settings = json.dumps([cell.settings for cell in other])
    assert '"further": {"x": 1, "y": [2, {"a": 1}]}' in settings
    assert '"lr": 1,' in settings
