"""How much of the cores a sweep uses, and what a cell costs beside its training.

Aims on a quiet machine: parallel efficiency 0.92, start-up 0.3 s a cell. Processes that know nothing of each other also
slow each other down, through caches and memory; so the same cells run as one sweep of one process for each core, too,
which shows what is the machine's part. All are ratios within one run; the asserted bounds only guard against a blunder. Run with: pytest -s -m speed tests/bench/sweep/test_speed.py
"""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from quantdg.bench.engines.local import run_cells
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.core.machine import usable_cores

pytestmark = pytest.mark.speed
ROUNDS = 3
SHORT = ("targets=[thick]", "protocol.steps=60", "protocol.start_step=24", "protocol.check_every=12")


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_parallel_efficiency(benchmark, tmp_path):
    """Two groups of 4 cells, as long as the demo's, for each core: one process, one for each core, and as many sweeps
    of one, in turns."""
    words = ("quantizer=[float,lsq,pact,freeze]", f"seeds={2 * usable_cores()}")
    experiment = config.load(["targets=[thick]", *words, f"out={tmp_path / 'plan'}"])
    cells = session.load_and_plan(experiment)

    def sweep(jobs, name, some=cells):
        store = RunStore(tmp_path / name, create=True)
        launcher = Launcher(jobs=jobs)
        took = seconds(lambda: run_cells(some, store, experiment.paths, launcher, lambda *_: None))
        assert all(store.read(cell.key).status == "done" for cell in some)
        return took

    def apart(name):
        parts = [[c for c in cells if c.group.seed % usable_cores() == k] for k in range(usable_cores())]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return seconds(lambda: [*pool.map(lambda k: sweep(1, f"{name}{k}", parts[k]), range(usable_cores()))])

    sweep(1, "warm", cells[:1])
    rounds = [(sweep(1, f"one{r}"), sweep(usable_cores(), f"all{r}"), apart(f"apart{r}")) for r in range(ROUNDS)]
    efficiency = median(one / together / usable_cores() for one, together, _ in rounds)
    machine = median(one / separate / usable_cores() for one, _, separate in rounds)
    benchmark.extra_info |= {"efficiency": efficiency, "machine": machine, "cores": usable_cores(), "seconds": rounds}
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\n{len(cells)} cells on {usable_cores()} cores: parallel efficiency {efficiency:.3f}, of independent sweeps "
        f"{machine:.3f}, seconds {rounds}"
    )
    assert efficiency > 1.2 / usable_cores(), "a second process must gain something"


def test_start_up_of_a_cell(benchmark, drivers, tmp_path):
    """From the start of the command to the last of 36 records, less the training in them; one process."""
    bare = seconds(lambda: subprocess.run([sys.executable, "-c", "import quantdg.bench.engines.worker"], check=True))
    began = time.time()
    names = "float,lsq,pact,torch_ao,torch_ao_learnable,nni_qat,freeze,round_freeze,uniform_noise"
    driver = drivers.start(*SHORT, f"quantizer=[{names}]", "averaging=[swad]", "seeds=4", jobs=1)
    assert driver.wait(600) == 0, drivers.output(driver)
    records = [r for r in RunStore(tmp_path / "runs").records() if isinstance(r, Record)]
    last = max(path.stat().st_mtime for path in (tmp_path / "runs" / "cells").iterdir())
    training = sum(r.timings["branch_s"] + r.timings["float_s"] for r in records)
    cost = (last - began - training) / len(records)
    benchmark.extra_info |= {"start_up_s": cost, "cells": len(records), "import_s": bare}
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{len(records)} cells: {cost:.3f} s of start-up each; importing the harness takes {bare:.2f} s")
    assert len(records) == 36
    assert cost < bare, "cheaper than a fresh process for each cell"
