"""A whole grid against the same cells one by one, as the QT-DoG release runs them: aim 5 times less wall time.

The grid: PACS, Office-Caltech and real digits at 32 pixels, two algorithms, the four arms that replicating QT-DoG needs. Our
side is the command itself, from nothing: no decoded images, no float phase. The other side is a process for each cell (see
alone.py); of its cells a random few of each data set are run, and their mean stands for the others of that data set.
Run with: pytest -s -m speed tests/bench/sweep/test_speed_of_the_whole.py
"""

import json
import os
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.core.machine import usable_cores

pytestmark = pytest.mark.speed
SETS = ("PACS", "office_caltech", "digits_real")
SAMPLE = 2  # cells of each data set
GRID = (
    "suite=natural_small",
    "algorithm=[erm,coral]",
    "quantizer=[float,lsq,round_freeze,freeze]",
    "averaging=[]",
    "seeds=1",
    "protocol.steps=100",
    "protocol.start_step=40",
    "protocol.check_every=30",
)
QUANTDG = "import sys; from quantdg.core.cli import main; sys.exit(main())"


@pytest.fixture
def real():
    """The folder of the real data sets; the test is skipped where one of the three is missing."""
    pytest.importorskip("torchvision")
    shared = Path(__file__).resolve().parents[4] / "shared" / "data"
    root = Path(os.environ.get("QUANTDG_DATA", shared))
    if missing := [name for name in SETS if not (root / name).is_dir()]:
        pytest.skip(f"{', '.join(missing)} not here; point QUANTDG_DATA at the folder that holds them")
    return root


def command(*words, **environment):
    """Run Python with these words; returns its output and the seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, **environment}, text=True, check=True, capture_output=True
    )
    return done.stdout, time.perf_counter() - began


def alone(cell, real, folder):
    """Run a cell as the release would; returns what it did and the seconds it took."""
    path = folder / f"{cell.key}.pickle"
    path.write_bytes(pickle.dumps(cell))
    text, seconds = command(str(Path(__file__).with_name("alone.py")), str(path), str(real))
    said = json.loads(text)
    assert said["steps"] == cell.group.protocol.steps
    assert said["checks"] == sum(map(cell.group.protocol.is_check, range(said["steps"] + 1)))
    return said, seconds


def test_a_grid_against_its_cells_one_by_one(benchmark, real, tmp_path):
    words = [*GRID, f"data.root={real}", f"out={tmp_path / 'runs'}"]
    load = os.getloadavg()[0]  # of the minute before
    _, together = command("-c", QUANTDG, "run", *words, QUANTDG_CACHE=str(tmp_path / "cache"))
    records = {r.key: r for r in RunStore(tmp_path / "runs").records() if isinstance(r, Record)}
    cells = session.load_and_plan(config.load(words))
    assert len(records) == len(cells) == 88
    assert all(r.status == "done" for r in records.values())
    draw, apart, accuracies = random.Random(0), {}, []
    for name in dict.fromkeys(cell.labels.dataset for cell in cells):
        of = [cell for cell in cells if cell.labels.dataset == name]
        runs = [(cell, *alone(cell, real, tmp_path)) for cell in draw.sample(of, SAMPLE)]
        apart[name] = mean(seconds for _, _, seconds in runs) * len(of)
        accuracies += [(records[cell.key].rows["last"].target_in, said["target_in"]) for cell, said, _ in runs]
        print(f"\n{name}: {len(of)} cells; alone", *(f"{seconds:.1f} s" for _, _, seconds in runs))
    ratio = sum(apart.values()) / together
    benchmark.extra_info |= {
        "ratio": ratio,
        "together_s": together,
        "apart_s": apart,
        "load": load,
        "accuracies": accuracies,
    }
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\n{len(cells)} cells on {usable_cores()} cores, load before {load:.1f}: quantdg run {together:.0f} s, one by one "
        f"about {sum(apart.values()):.0f} s (from {SAMPLE} cells of each data set), ratio {ratio:.1f}"
    )
    assert ratio > 1.5, "sharing must be worth something"
