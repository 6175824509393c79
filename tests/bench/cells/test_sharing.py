"""What sharing the float phase and observing with SWAD saves, against every cell alone and SWAD as a run of its own."""

import time
from dataclasses import replace

import pytest

from quantdg.bench.cells.job import Job
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.training.seeds import use_deterministic

GRID = ("targets=[thick]", "seeds=1", "protocol.steps=240", "protocol.start_step=96", "launcher.jobs=0")


def timed(experiment, cells, folder):
    """Processor seconds of one process for these cells in a folder of their own."""
    job = Job(RunStore(folder, create=True), experiment.paths, Launcher(jobs=0))
    began = time.process_time()
    records = list(job.execute(cells, lambda *_: None))
    assert {r.status for r in records} == {"done"}
    return time.process_time() - began, records


@pytest.mark.slow
def test_sharing_pays_almost_what_arithmetic_allows(quick, tmp_path):
    names = "[float,lsq,pact,torch_ao,torch_ao_learnable,nni_qat,freeze,round_freeze,uniform_noise]"
    experiment = quick(*GRID, f"quantizer={names}", "model.width=16", "averaging=[swad]")
    use_deterministic(1)
    cells = session.load_and_plan(experiment)
    timed(experiment, cells[:1], tmp_path / "warm")
    together, shared = timed(experiment, cells, tmp_path / "together")
    alone = 0.0
    for number, cell in enumerate(cells):
        for kind, averages in (("plain", ()), ("swad", cell.averages)):
            own = replace(cell, averages=averages)
            seconds, records = timed(experiment, [own], tmp_path / f"{kind}{number}")
            alone += seconds
            if averages:
                assert records[0].rows == next(r.rows for r in shared if r.key == records[0].key)
    steps = len(cells) * 2 * 240 / (96 + len(cells) * 144)
    print(
        f"\n{len(cells)} branches: alone {alone:.1f} s, shared {together:.1f} s: {alone / together:.2f}x of {steps:.2f}x"
    )
    assert alone / together > 0.85 * steps
