"""Real drivers on small sweeps, and the means to harm them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore

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
