"""A packed model that is not the one of its record is told by name, and its cell runs again."""

import os
import shutil

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.bench.sweep.session import plan_run, run_experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "runs"
    experiment = config.load(
        [
            "quantizer=[float,lsq]",
            "targets=[thick]",
            "seeds=1",
            "protocol.steps=6",
            "protocol.start_step=3",
            "protocol.check_every=3",
            "launcher.jobs=0",
            f"out={out}",
        ]
    )
    assert run_experiment(experiment) == 0
    store = RunStore(out)
    keys = {record.labels.quantizer: record.key for record in store.records()}
    assert plan_run(experiment, RerunPolicy(), False).run == []
    return experiment, store, keys


def test_a_flipped_bit_trains_the_cell_again_to_the_same_bytes(finished):
    experiment, store, keys = finished
    path = store.path(f"models/{keys['lsq']}.safetensors")
    right = path.read_bytes()
    path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    after = path.stat().st_mtime + 10
    os.utime(path, (after, after))
    plan = plan_run(experiment, RerunPolicy(), False)
    assert [cell.key for cell in plan.run] == [keys["lsq"]]
    assert f"the packed model of digits/thick/0/erm/lsq/W7 ({keys['lsq']}) counts as damaged" in plan.text(1)
    assert plan_run(experiment, RerunPolicy(overwrite="never"), False).run == []
    assert run_experiment(experiment) == 0
    assert path.read_bytes() == right


def test_the_model_of_another_cell_is_told_by_its_header_though_it_is_old(finished):
    experiment, store, keys = finished
    mine, other = (store.path(f"models/{keys[name]}.safetensors") for name in ("float", "lsq"))
    right = mine.read_bytes()
    shutil.copyfile(other, mine)
    os.utime(mine, (1, 1))
    plan = plan_run(experiment, RerunPolicy(), False)
    assert [cell.key for cell in plan.run] == [keys["float"]]
    assert "the file says" in plan.text(1) or "checksum must be" in plan.text(1)
    mine.write_bytes(right)


def test_a_model_that_is_touched_or_taken_away_changes_nothing(finished):
    experiment, store, keys = finished
    path = store.path(f"models/{keys['lsq']}.safetensors")
    os.utime(path)
    assert plan_run(experiment, RerunPolicy(), False).run == []
    path.rename(path.with_suffix(".away"))  # records may travel without their models
    assert plan_run(experiment, RerunPolicy(), False).run == []
    path.with_suffix(".away").rename(path)


def test_a_pipe_in_the_place_of_a_model_is_not_waited_for(finished):
    experiment, store, keys = finished
    path = store.path(f"models/{keys['lsq']}.safetensors")
    path.rename(path.with_suffix(".away"))
    os.mkfifo(path)
    os.utime(path, (1, 1))
    plan = plan_run(experiment, RerunPolicy(), False)
    assert [cell.key for cell in plan.run] == [keys["lsq"]]
    assert "must be a regular file, not a pipe" in plan.text(1)
    path.with_suffix(".away").replace(path)
