"""A sweep of 24 cells in 8 groups for the cluster scripts: ``sweep.py run ENGINE OUT [OPTIONS]`` or ``sweep.py check OUT``.

Every group has one cell that takes a minute of sleep, so that there is something to interrupt.
"""

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.sweep.status import read_status
from quantdg.quantizers.float_ import Float

WORDS = (
    "targets=[thick]",
    "seeds=8",
    "model.width=4",
    "protocol.steps=120",
    "protocol.start_step=20",
    "protocol.check_every=20",
    "quantizer=[float,lsq]",
    "+quantizer.sleepy={_target_: sweep.Sleepy, spec: null}",
)


class Sleepy(Float):
    """The float control, 0.6 s a step."""

    def on_step(self, model, step):
        """Sleep."""
        time.sleep(0.6)


def run(engine, out, options="{}"):
    """Run the sweep on an engine; returns the number of failed cells."""
    experiment = config.load([*WORDS, f"out={out}", "launcher.jobs=2"])
    plain = {**asdict(experiment.launcher), "engine": engine, "options": json.loads(options)}
    launcher = Launcher(**{**plain, "checkpoint_seconds": 5.0, "lease_seconds": 15.0, "memory_gb": 0.9})
    return session.run_experiment(replace(experiment, launcher=launcher))


def check(out):
    """All cells done, nothing left at work; returns the number of complaints and prints what there is."""
    store = RunStore(Path(out))
    print(read_status(store).text())
    records = [r for r in store.records() if isinstance(r, Record)]
    states = Counter(r.status for r in records)
    left = [p.name for p in store.work.iterdir()]
    print(f"states {dict(states)}, left in work: {left}")
    return int(states != {"done": 24}) + len(left)


if __name__ == "__main__":
    sys.exit(run(*sys.argv[2:]) if sys.argv[1] == "run" else check(*sys.argv[2:]))
