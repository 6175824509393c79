"""Stored states that are whole but not the right ones: told by name and trained again, never trained on."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from quantdg.bench.cells.job import Job
from quantdg.bench.deploy.stored import read_cell
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import TRAINING_VERSION, Record
from quantdg.bench.results.seal import check_seal, is_sealed, metadata, sealed
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.plan import make_plan
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training import checkpoint
from quantdg.bench.training.checkpoint import Snapshot, load_snapshot, load_state, save_snapshot, save_state
from quantdg.bench.training.checkpointer import Checkpointer, StoppedError
from quantdg.core.errors import RecordError

WORDS = ("quantizer=[float,lsq]", "seeds=2")


@pytest.fixture
def run(quick):
    """Runs the cells of a small grid in this process; returns their weights by key and what was told."""

    def run(out, *, cells=None):
        experiment = quick(*WORDS, out=out)
        planned, told = load_and_plan(experiment), []
        store = RunStore(experiment.paths.out, create=True)
        job = Job(store, experiment.paths, experiment.launcher, tell=told.append)
        todo = planned if cells is None else [planned[i] for i in cells]
        records = list(job.execute(todo, lambda *_: None))
        assert {r.status for r in records} == {"done"}
        return store, {r.key: r.provenance["final_weights_sha256"] for r in records}, told

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("sealed") / "runs"


@pytest.fixture
def finished(run, kept, tmp_path):
    """A finished run folder and its weights by key; trained by the first test that asks, copied for the others."""
    if kept.exists():
        shutil.copytree(kept, tmp_path / "runs")
    else:
        assert run("runs")[2] == []
        shutil.copytree(tmp_path / "runs", kept)
    store = RunStore(tmp_path / "runs")
    return store, {r.key: r.provenance["final_weights_sha256"] for r in store.records() if isinstance(r, Record)}


def flip(path, place):
    """Flip one bit at a share of the file."""
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 4
    path.write_bytes(bytes(data))


def forget(store):
    for path in (store.root / "cells").iterdir():
        path.unlink()


def reseal(path, change):
    """The same file with other tensors under a right checksum: what only its identity can tell."""
    said = metadata(path.read_bytes())
    path.write_bytes(sealed(save(change(load(path.read_bytes()))), said))


DAMAGE = {
    "a flipped bit in a tensor": lambda a, b: flip(a, 0.9),
    "a flipped bit in the header": lambda a, b: flip(a, 0.002),
    "another dtype": lambda a, b: a.write_bytes(save({n: t.half() for n, t in load(a.read_bytes()).items()})),
    "swapped with another group's": lambda a, b: (a.rename(a.with_name("x")), b.rename(a), a.with_name("x").rename(b)),
    "a copy of another group's": lambda a, b: shutil.copy(b, a),
    "no identity, as before 0.4": lambda a, b: a.write_bytes(save(load(a.read_bytes()))),
    "a folder": lambda a, b: (a.unlink(), a.mkdir()),
    "half of it": lambda a, b: a.write_bytes(a.read_bytes()[: a.stat().st_size // 2]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_wrong_float_phase_is_told_and_trained_again(run, finished, kind):
    store, whole = finished
    assert len(whole) == 4
    first, second = sorted((store.root / "float").iterdir())
    DAMAGE[kind](first, second)
    forget(store)
    _, again, told = run("runs")
    assert again == whole
    assert len(told) == (2 if "swapped" in kind else 1)
    assert all("is not the float phase it is named after" in line and "\n" not in line for line in told)
    assert first.name in "".join(told)
    assert run("runs")[2] == []


def test_the_state_of_another_step_or_version_is_another(tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    save_state(path, {"a": torch.ones(2)}, 5)
    assert load_state(path, "cpu", 5)["a"].tolist() == [1, 1]
    with pytest.raises(RecordError, match="step must be '6', the file says '5'"):
        load_state(path, "cpu", 6)
    monkeypatch.setattr(checkpoint, "TRAINING_VERSION", TRAINING_VERSION + 1)
    with pytest.raises(RecordError, match="training_version must be"):
        load_state(path, "cpu", 5)


def test_a_snapshot_of_another_training_or_step_is_told_and_removed(tmp_path):
    one, two, told = tmp_path / "a.safetensors", tmp_path / "b.safetensors", []
    save_snapshot(one, Snapshot(3, {"w": torch.ones(2)}, {"curve": []}))
    save_snapshot(two, Snapshot(4, {"w": torch.zeros(2)}, {"curve": []}))
    whole = one.read_bytes()
    others = {
        "another's": two.read_bytes(),
        "another step": whole.replace(b'"step":"3"', b'"step":"4"'),
        "other tensors": whole[:-1] + bytes([whole[-1] ^ 1]),
        "without identity": save(load(whole), {"step": "3", "gathered": metadata(whole)["gathered"]}),
    }
    for kind, data in others.items():
        one.write_bytes(data)
        assert data != whole, kind
        assert Checkpointer(one, tell=told.append).load("cpu") is None, kind
        assert not one.exists(), kind
    assert len(told) == len(others)
    assert all("a.safetensors is not the snapshot it is named after" in line for line in told)
    one.write_bytes(whole)
    assert load_snapshot(one, "cpu").step == 3


def test_a_cell_goes_on_from_its_own_snapshot_only(quick, run, finished):
    _, whole = finished
    experiment = quick(*WORDS, out="stopped")
    store = RunStore(experiment.paths.out, create=True)
    first, second = load_and_plan(experiment)[:2]
    for cell, steps in ((first, 6), (second, 2)):
        calls = iter(range(steps))
        job = Job(store, experiment.paths, experiment.launcher, stop=lambda calls=calls: next(calls, None) is None)
        with pytest.raises(StoppedError):
            job.attempt(cell)
    a, b = (store.snapshot_path(cell.key) for cell in (first, second))
    DAMAGE["swapped with another group's"](a, b)
    _, again, told = run("stopped", cells=[0, 1])
    assert again == {key: whole[key] for key in (first.key, second.key)}
    assert len(told) == 2


def test_cells_that_failed_on_a_state_without_identity_are_run_again(quick, finished):
    store, _ = finished
    cells = load_and_plan(quick(*WORDS, out="runs"))
    failed = replace(store.load(cells[0].key), status="failed", reason="boom", rows={})
    store.write(failed)
    assert make_plan(cells, store, RerunPolicy(), {}).run == []
    path = store.float_path(cells[0].group.key)
    path.write_bytes(save(load(path.read_bytes())))
    plan = make_plan(cells, store, RerunPolicy(), {})
    assert (plan.run, plan.stale) == ([cells[0]], [cells[0].key])
    assert make_plan(cells, store, RerunPolicy(overwrite="never"), {}).run == []


MODEL_DAMAGE = {
    "another cell's": lambda a, b: shutil.copy(b, a),
    "a flipped bit": lambda a, b: flip(a, 0.95),
    "other weights, sealed again": lambda a, b: reseal(
        a, lambda t: {n: v + 1 if v.is_floating_point() else v for n, v in t.items()}
    ),
    "without identity": lambda a, b: a.write_bytes(
        save(load(a.read_bytes()), {"quantdg": metadata(a.read_bytes())["quantdg"]})
    ),
    "a link to it": lambda a, b: (a.rename(a.with_name("x")), a.symlink_to("x")),
}


@pytest.mark.parametrize("kind", MODEL_DAMAGE)
def test_a_packed_model_is_the_one_its_record_was_made_with(run, tmp_path, kind):
    store, _, _ = run("runs", cells=[0, 1])
    first, second = (r for r in store.records() if isinstance(r, Record))
    assert first.sizes.checksum == read_cell(store, first).checksum != ""
    MODEL_DAMAGE[kind](store.model_path(first), store.model_path(second))
    with pytest.raises(RecordError, match=f"{first.key}.safetensors is not a packed model .* --force {first.key}"):
        read_cell(store, first)
    read_cell(store, second)
    merged = merge_runs([store.root], tmp_path / "out")
    assert (merged.copied, len(merged.skipped)) == (2, 1)
    assert first.key in merged.skipped[0]
    old = replace(first, sizes=replace(first.sizes, checksum=""))
    if kind == "without identity":
        read_cell(store, old)
    elif kind != "other weights, sealed again":
        with pytest.raises(RecordError):
            read_cell(store, old)


def test_every_bit_of_a_file_counts(tmp_path):
    data = sealed(save({"w": torch.arange(3.0)}), {"key": "a", "kind": "k"})
    checksum = check_seal(data, {"key": "a"})
    assert torch.equal(load(data)["w"], torch.arange(3.0))
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            found = check_seal(bytes(changed), {"key": "a"})
        except RecordError:
            continue
        assert found == checksum
        assert metadata(bytes(changed)) == metadata(data), "only spaces after the header may differ"
        assert torch.equal(load(bytes(changed))["w"], torch.arange(3.0))
    (tmp_path / "f").write_bytes(data)
    assert is_sealed(tmp_path / "f", {"key": "a"})
    assert not is_sealed(tmp_path / "f", {"key": "b"})
    assert not is_sealed(tmp_path / "none", {})
    (tmp_path / "f").write_bytes(b"\xff" * 100)
    assert not is_sealed(tmp_path / "f", {})
