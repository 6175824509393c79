"""What the cluster engines share, and their words where something is missing; the real thing is in tests/cluster."""

import sys
from dataclasses import asdict

import pytest

from quantdg.bench.cells import lease as leasing
from quantdg.bench.cells.lease import Leases
from quantdg.bench.engines import cluster, ray_
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.engine_options import OPTIONS, RayOptions
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.core.errors import ConfigError, MissingPackageError


@pytest.fixture
def sweep(quick):
    experiment = quick("quantizer=[float,lsq,pact]", "seeds=2")
    cells, store = session.load_and_plan(experiment), RunStore(experiment.paths.out, create=True)
    return experiment, cells, store


def launcher(**settings):
    return Launcher(jobs=0, **settings)


@pytest.mark.parametrize(("size", "expected"), [(None, [3, 3]), (2, [2, 1, 2, 1]), (5, [3, 3])])
def test_portions_never_mix_groups(sweep, size, expected):
    parts = cluster.portions(sweep[1], size)
    assert [len(p) for p in parts] == expected
    assert all(len({c.group.key for c in p}) == 1 for p in parts)
    assert [c.key for p in parts for c in p] == [c.key for c in sweep[1]]


def test_lost_cells_are_submitted_again_and_given_up_in_the_end(sweep):
    experiment, cells, store = sweep
    rounds, said = [], []

    def submit(some):
        rounds.append([c.quantizer.name for c in some])
        cluster.run_portion([c for c in some if c.quantizer.name == "lsq"], store, experiment.paths, launcher())

    cluster.follow(cells[:3], store, launcher(max_lost=2), submit, lambda: False, say=said.append, poll_seconds=0.0)
    assert rounds == [["float", "lsq", "pact"], ["float", "pact"]]
    reasons = {store.read(c.key).status: store.read(c.key).reason for c in cells[:3]}
    assert reasons == {"done": "", "failed": "its job ended 3 times without a word"}
    assert "2 cells were lost with their jobs and are submitted again" in said


def test_only_the_cell_a_job_died_on_is_blamed(sweep, monkeypatch):
    """One cell kills its job each time; those behind it in the portion have never been tried and must not suffer."""
    experiment, cells, store = sweep
    monkeypatch.setattr(leasing, "is_dead", lambda _: True)

    def submit(some):
        if some[0] is cells[0]:
            Leases(store.work).acquire(cells[0].key)._end.set()
        else:
            cluster.run_portion(some, store, experiment.paths, launcher())

    cluster.follow(cells[:3], store, launcher(max_lost=1), submit, lambda: False, say=str, poll_seconds=0.0)
    assert [store.read(c.key).status for c in cells[:3]] == ["failed", "done", "done"]
    assert list(store.work.iterdir()) == []


def test_a_scheduler_that_does_not_answer_proves_nothing(sweep):
    experiment, cells, store = sweep
    answers = iter([None, None, True])

    def at_work():
        answer = next(answers)
        if answer:
            cluster.run_portion(cells[:1], store, experiment.paths, launcher())
        return answer

    cluster.follow(
        cells[:1], store, launcher(), lambda _: pytest.fail("submitted again"), at_work, say=str, poll_seconds=0.0
    )
    assert store.read(cells[0].key).status == "done"


def test_a_cell_somebody_works_on_is_not_given_up(sweep):
    _, cells, store = sweep
    lease, observer = Leases(store.work).acquire(cells[0].key), Leases(store.work)
    cluster.give_up(cells[0], store, observer, launcher(), 3)
    assert store.read(cells[0].key) is None
    lease.close()
    cluster.give_up(cells[0], store, observer, launcher(), 3)
    assert store.read(cells[0].key).status == "failed"


@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_named_with_its_line(quick, monkeypatch, engine, package):
    monkeypatch.setitem(sys.modules, package, None)
    experiment = quick("quantizer=[float]")
    plain = {**asdict(experiment.launcher), "engine": engine, "options": {"address": "x"} if engine == "ray" else {}}
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    object.__setattr__(experiment, "launcher", Launcher(**plain))
    with pytest.raises(MissingPackageError, match=rf"pip install 'quantdg\[{engine}\]'"):
        session.run_experiment(experiment)


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("slurm", {"partitoin": "x"}, "no setting of launcher.options named 'partitoin'; did you mean 'partition'"),
        ("slurm", {"minutes": "long"}, "launcher.options.minutes must be a whole number, got 'long'"),
        ("slurm", {"minutes": 0}, "launcher.options.minutes must be at least 1, got 0"),
        ("slurm", {"cells_per_job": 0}, "launcher.options.cells_per_job must be at least 1, got 0"),
        ("ray", {"partition": "x"}, "no setting of launcher.options named 'partition'"),
        ("ray", {"retries": -1}, "launcher.options.retries must be at least 0, got -1"),
    ],
)
def test_wrong_options_are_found_before_anything_is_loaded(engine, options, message):
    with pytest.raises(ConfigError, match=message):
        Launcher(engine=engine, options=options)


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_the_configuration_repeats_the_defaults_and_all_of_them(engine):
    assert config.load([f"launcher={engine}"]).launcher.options == asdict(OPTIONS[engine]())


def test_ray_is_never_entered_without_address_and_token(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(ConfigError, match=r"write launcher\.options\.address=HOST:PORT"):
        ray_.address_of(RayOptions())
    with pytest.raises(ConfigError, match="set RAY_AUTH_MODE=token"):
        ray_.address_of(RayOptions(address="10.0.0.1:6379"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert ray_.address_of(RayOptions()) == "10.0.0.2:6379"
    assert ray_.address_of(RayOptions(address="10.0.0.1:6379")) == "10.0.0.1:6379"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "slrum"}, "no launcher named 'slrum'; did you mean 'slurm'"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds must be at least 0, got -1"),
        ({"lease_seconds": 0}, "lease_seconds must be above 0"),
        ({"max_lost": -1}, "max_lost must be at least 0"),
    ],
)
def test_wrong_launcher_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        Launcher(**settings)
