"""A cell of two processes, through the command: the record of one process, and what happens where one of the two dies."""

import os
import signal
from pathlib import Path

import pytest

from quantdg.bench.cells.crew import device_of_rank
from quantdg.bench.experiment import load as config
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session

WORDS = ("quantizer=[lsq]", "act_bits=8", "seeds=1", "averaging=[swad]")
SMALL = ("targets=[thick]", "model.width=4", "protocol.steps=48", "protocol.start_step=16", "protocol.check_every=8")


def followers(drivers):
    for pid in drivers.processes():
        try:
            if b"cells.follower" in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid
        except OSError:
            continue


@pytest.mark.slow
def test_a_process_that_is_killed_loses_the_cell_which_goes_on_to_the_same_record(drivers, results, until, tmp_path):
    """To the bit that of two processes that nobody killed, and within float rounding that of one process."""
    driver = drivers.start(*WORDS, "protocol.processes=2", jobs=1, checkpoint_seconds=0.0)
    until(lambda: [*(tmp_path / "runs" / "work").rglob("*.safetensors")] and [*followers(drivers)])
    (killed,) = followers(drivers)
    os.kill(killed, signal.SIGKILL)
    assert driver.wait(300) == 0, drivers.output(driver)
    until(lambda: not [*drivers.processes()])
    assert "note: one of the processes of a cell is gone; tried again, the cell goes on from" in drivers.output(driver)

    for processes, name in ((2, "two"), (1, "one")):
        words = [*SMALL, *WORDS, "launcher.jobs=0", f"protocol.processes={processes}", f"out={tmp_path / name}"]
        session.run_experiment(config.load(words))
    assert results(tmp_path / "runs") == results(tmp_path / "two")
    (one,), (two,) = (RunStore(tmp_path / name).records() for name in ("one", "two"))
    assert two.settings["protocol"].pop("processes") == 2
    assert two.settings == one.settings
    assert two.key != one.key
    first = {name: one.curve[0][name] for name in ("train_loss", "source_loss")}
    assert {name: two.curve[0][name] for name in first} == pytest.approx(first, rel=1e-3)


def test_each_process_has_a_gpu_of_its_own():
    assert [device_of_rank("cuda", rank) for rank in range(3)] == ["cuda", "cuda:1", "cuda:2"]
    assert [device_of_rank("cuda:2", rank) for rank in range(2)] == ["cuda:2", "cuda:3"]
    assert [device_of_rank("cpu", rank) for rank in range(2)] == ["cpu", "cpu"]
