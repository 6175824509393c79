"""One job: leases taken and given back, others' work respected, failures told apart from orders to stop."""

from contextlib import closing
from dataclasses import replace
from multiprocessing import Pipe
from threading import Event

import pytest

from quantdg.bench.cells import job as jobs
from quantdg.bench.cells.job import Job
from quantdg.bench.cells.lease import Leases
from quantdg.bench.cells.lease_file import Holder
from quantdg.bench.engines.worker import REPORT_EVERY, ThrottledReport
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.models.base import DGModel
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.training.checkpointer import StoppedError

FEW = [f"flatness.{name}" for name in ("examples=8", "directions=2", "probes=2", "iterations=2", "radii=[0.01]")]


@pytest.fixture
def sweep(quick):
    experiment = quick("quantizer=[float,lsq]")
    cells, store = session.load_and_plan(experiment), RunStore(experiment.paths.out, create=True)
    return cells, store, lambda **more: Job(store, experiment.paths, Launcher(jobs=0), **more)


def work(store):
    return sorted(p.name for p in store.work.iterdir())


def test_a_record_that_is_there_is_returned_untrained(sweep, monkeypatch):
    cells, store, make = sweep
    first = make().attempt(cells[0])
    assert first.status == "done"
    assert work(store) == []
    monkeypatch.setattr(jobs, "train_branch", lambda *_, **__: pytest.fail("trained again"))
    assert make().attempt(cells[0]).rows == first.rows


def test_a_leased_cell_is_left_alone(sweep):
    cells, store, make = sweep
    with closing(Leases(store.work).acquire(cells[0].key)):
        found = make().attempt(cells[0])
    assert isinstance(found, Holder)
    assert found.name == cells[0].key
    assert store.read(cells[0].key) is None


def test_a_leased_float_phase_names_the_group_and_gives_the_cell_back(sweep):
    cells, store, make = sweep
    with closing(Leases(store.work).acquire(cells[0].group.key)):
        found = make().attempt(cells[0])
        assert found.name == cells[0].group.key
        assert work(store) == [f"{cells[0].group.key}.lease.1"]


def test_execute_does_the_rest_then_waits_for_what_others_have(sweep, monkeypatch):
    cells, store, make = sweep
    lease, told = Leases(store.work).acquire(cells[0].key), []
    monkeypatch.setattr(jobs.time, "sleep", lambda _: lease.close())
    records = make().execute(cells, lambda left, holder: told.append((left, holder.name)))
    assert [r.labels.quantizer for r in records] == ["lsq", "float"]
    assert told == [(1, cells[0].key)]


def test_an_order_to_stop_saves_and_is_no_failure(sweep):
    cells, store, make = sweep
    steps = []
    with pytest.raises(StoppedError):
        make(report=steps.append, stop=lambda: sum(steps) >= 8).attempt(cells[1])
    assert store.read(cells[1].key) is None
    assert work(store) == [f"{cells[1].key}.safetensors"]
    steps.clear()
    assert make(report=steps.append).attempt(cells[1]).status == "done"
    assert sum(steps) == 7
    assert work(store) == []


def test_a_driver_that_is_gone_stops_the_training_and_fails_no_cell(sweep):
    cells, store, make = sweep
    ours, theirs = Pipe()
    ours.close()
    stop = Event()
    steps = ThrottledReport(theirs, stop)
    steps.pending = REPORT_EVERY
    with pytest.raises(StoppedError):
        make(report=steps, stop=stop.is_set).attempt(cells[0])
    assert store.read(cells[0].key) is None
    assert len(work(store)) == 1


def test_a_job_that_lost_its_lease_takes_the_other_result(sweep, monkeypatch):
    cells, store, make = sweep
    first, second = make(), make()
    train = jobs.train_branch
    theirs = {}

    def overtaken(cell, *rest, **named):
        if not theirs:
            theirs["record"] = None
            next(store.work.glob(f"{cell.key}.lease.*")).unlink()
            theirs["record"] = second.attempt(cell)
        return train(cell, *rest, **named)

    monkeypatch.setattr(jobs, "train_branch", overtaken)
    mine = first.attempt(cells[0])
    assert mine == store.read(cells[0].key)
    assert mine.provenance == theirs["record"].provenance


def test_the_loser_of_a_race_reports_the_stored_record(sweep):
    cells, store, make = sweep
    job = make()
    stored = job.attempt(cells[0])
    lease = job.leases.acquire(cells[0].key)
    with closing(lease):
        kept = job._store(replace(stored, reason="second"), lease)
    assert kept == store.read(cells[0].key)
    assert kept.reason == ""


def test_a_group_builds_one_network(quick, monkeypatch):
    """However many cells, controls, matched rows and flatness measures stand on it; copies call no __init__."""
    words = ("quantizer=[float,lsq,freeze,torch_ao]", "match=noise", "match_to=lsq", "flatness=quick", *FEW)
    experiment = quick(*words, "algorithm=[coral]", "transform=[mixstyle]")
    cells, built, make = session.load_and_plan(experiment), [], DGModel.__init__

    def counting(self, *args, **options):
        built.append(self)
        make(self, *args, **options)

    monkeypatch.setattr(DGModel, "__init__", counting)
    job = Job(RunStore(experiment.paths.out, create=True), experiment.paths, experiment.launcher)
    assert [r.status for r in job.execute(cells, lambda *_: None)] == ["done"] * 4
    assert len(built) == 1
