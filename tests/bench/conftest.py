"""Real drivers on small sweeps, and the means to harm them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.models.convnet import convnet
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.training.branch import put_into_training

DRIVER = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell is started without it
from dataclasses import asdict, replace
from quantdg.bench.experiment import load as config
from quantdg.bench.sweep import session
from quantdg.bench.experiment.launcher import Launcher
from quantdg.core.errors import QuantDGError
words, settings = json.loads(sys.argv[1])
experiment = config.load(words)
plain = {**asdict(experiment.launcher), **settings}
try:
    sys.exit(session.run_experiment(replace(experiment, launcher=Launcher(**plain))))
except QuantDGError as error:
    sys.exit(f"quantdg: error: {error}")
except KeyboardInterrupt:
    sys.exit(130)
"""
SMALL = ("targets=[thick]", "model.width=4", "protocol.steps=48", "protocol.start_step=16", "protocol.check_every=8")


class Drivers:
    """Starts drivers and finds their processes by a mark in the environment."""

    def __init__(self, folder):
        self.folder, self.mark, self.started = folder, uuid.uuid4().hex, []

    def start(self, *words, out="runs", **settings):
        import json  # noqa: PLC0415

        text = json.dumps([[*SMALL, f"out={self.folder / out}", *words], settings])
        log = open(self.folder / f"driver{len(self.started)}.log", "w+")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, text],
            env={**os.environ, "FAULT_MARK": self.mark},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process.log = log
        self.started.append(process)
        return process

    def output(self, process):
        process.log.seek(0)
        return " ".join(process.log.read().split())

    def processes(self, *, drivers=True):
        """Numbers of all living processes of these drivers."""
        own = {p.pid for p in self.started}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (drivers or int(entry.name) not in own):
                with suppress(OSError):
                    alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                    if alive and f"FAULT_MARK={self.mark}".encode() in (entry / "environ").read_bytes():
                        yield int(entry.name)

    def end(self):
        for pid in list(self.processes()):
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()
            process.log.close()


@pytest.fixture
def drivers(tmp_path):
    """Drivers below tmp_path; none survives the test."""
    made = Drivers(tmp_path)
    yield made
    made.end()


def results(folder):
    """What must not depend on how often a sweep was interrupted, by cell."""
    return {
        r.key: (r.status, r.rows, r.audit, r.curve, r.provenance.get("final_weights_sha256"), asdict(r.sizes))
        for r in RunStore(folder).records()
        if isinstance(r, Record)
    }


@pytest.fixture(name="results")
def _results():
    return results


@pytest.fixture(name="until")
def _until():
    def until(condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)

    return until


QUANTIZERS = sorted(path.stem for path in (Path(__file__).parents[2] / "bench/conf/quantizer").glob("*.yaml"))


@cache
def components():
    return {q.name: q for q in config.load([f"quantizer=[{','.join(QUANTIZERS)}]", "act_bits=8"]).quantizers}


def prepare(name, device="cpu"):
    """ERM on a small network with a quantizer inserted as the harness does, with 8-bit inputs where it has them, and a batch."""
    component = components()[name]
    if missing := import_object(component.target).missing():
        pytest.skip(missing)
    torch.manual_seed(0)
    network = convnet((3, 8, 8), 4, width=4).to(device)
    algorithm = ERM(network, 1, lambda params: torch.optim.Adam(params, 1e-3, fused=True))
    quantizer = component.create(0)
    if not quantizer.supports(algorithm.network, quantizer.spec).ok:
        quantizer = replace(component, spec=replace(component.spec, act_bits=None)).create(0)
    x = torch.randn(8, 3, 8, 8).to(device)
    quantizer.prepare(algorithm.network, x)
    if not quantizer.post_training:
        quantizer.calibrate(algorithm.network, [x])
    put_into_training(algorithm, quantizer, 1e-3)
    train_mode(algorithm, freeze_bn=True)
    return algorithm, quantizer, [(x, torch.arange(8, device=device) % 4)]


@pytest.fixture
def prepared():
    return prepare


def pytest_generate_tests(metafunc):
    chosen = any(mark.args[0] == "quantizer_name" for mark in metafunc.definition.iter_markers("parametrize"))
    if "quantizer_name" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("quantizer_name", QUANTIZERS)
