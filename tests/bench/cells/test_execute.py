"""Cells to records: rows, statuses, resume, leaks of failure, processes."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from quantdg.bench.cells.execute import cell_incompatibility
from quantdg.bench.packed.file import read_model
from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import Record, unpack_bits
from quantdg.bench.results.store import RunStore, Unreadable
from quantdg.bench.sweep import session
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.bench.training.data import CellData, load_dataset
from quantdg.core.errors import RecordError
from quantdg.datasets.splits import split
from quantdg.quantizers.float_ import Float
from quantdg.quantizers.lsq import LSQ


def records(experiment):
    store = RunStore(experiment.paths.out)
    return {(r.labels.algorithm, r.labels.quantizer): r for r in store.records() if isinstance(r, Record)}


class Exploding(Float):
    """Fails in training."""

    def on_step(self, model, step):
        raise RuntimeError("boom\nsecond line")


class Diverging(Float):
    """Makes the loss infinite."""

    def penalty(self, model):
        return torch.tensor(float("inf"))


class Picky(Float):
    """Refuses."""

    def supports(self, model, spec):
        return False, f"no {spec.label}"


class Shuffle(Float):
    """A control that no table of names knows."""

    role = "control"
    meaning = "shuffling the weights"


class Missing(Float):
    """Needs what nobody has."""

    requires = {"no_such_package": "pip install no-such-package"}  # noqa: RUF012


class Dying(Float):
    """Takes its process along."""

    def on_step(self, model, step):
        os.kill(os.getpid(), signal.SIGKILL)


def with_quantizer(kind):
    return f"+quantizer.{kind.__name__.lower()}={{_target_: {kind.__module__}.{kind.__name__}, spec: {{}}}}"


def test_rows_curve_sizes_and_provenance_are_complete(quick):
    experiment = quick("quantizer=[float,lsq]", "averaging=[swad,swad_reference]")
    assert session.run_experiment(experiment) == 0
    dataset = load_dataset(experiment.setups[0].dataset, experiment.paths)
    for record in records(experiment).values():
        assert record.status == "done"
        assert set(record.rows) == {"iid", "oracle", "last", "swad", "swad_reference"}
        assert record.target_count == len(dataset.domains[dataset.index("thick")].labels)
        assert [p["step"] for p in record.curve] == [7, 9, 11, 12]
        assert record.provenance["versions"]["torch"] == torch.__version__
        for row in record.rows.values():
            assert set(row.source_out) == {d.name for d in dataset.domains} - {"thick"}


def test_accuracies_follow_from_the_packed_correctness(quick):
    experiment = quick("quantizer=[lsq]")
    session.run_experiment(experiment)
    dataset = load_dataset(experiment.setups[0].dataset, experiment.paths)
    target = dataset.index("thick")
    inside, outside = split(len(dataset.domains[target].labels), 0, target)
    for row in records(experiment)["erm", "lsq"].rows.values():
        correct = unpack_bits(row.correct, len(dataset.domains[target].labels))
        assert row.target_in == pytest.approx(correct[inside].mean())
        assert row.target_out == pytest.approx(correct[outside].mean())
    record = records(experiment)["erm", "lsq"]
    labels = dataset.domains[target].labels[inside]
    hit = unpack_bits(record.rows["iid"].correct, record.target_count)[inside]
    matrix = record.confusion.matrix()
    assert record.confusion.classes == list(dataset.classes)
    assert matrix.sum(1).tolist() == np.bincount(labels, minlength=len(matrix)).tolist()
    assert matrix.diagonal().tolist() == np.bincount(labels[hit], minlength=len(matrix)).tolist()
    assert 0 < matrix.trace() < matrix.sum()


def test_selection_rules_read_the_curve(quick):
    experiment = quick("quantizer=[lsq]", "protocol.steps=40", "protocol.start_step=10", "protocol.check_every=3")
    session.run_experiment(experiment)
    record = records(experiment)["erm", "lsq"]
    steps = np.array([p["step"] for p in record.curve])
    assert record.rows["iid"].step == steps[np.argmax([p["source_acc"] for p in record.curve])]
    assert record.rows["oracle"].step == steps[np.argmax([p["target_out"] for p in record.curve])]
    assert record.rows["last"].step == 40
    oracle = record.rows["oracle"]
    assert oracle.target_out == max(p["target_out"] for p in record.curve)


def test_the_stored_model_is_the_selected_one_bit_for_bit(quick):
    experiment = quick("quantizer=[lsq]")
    session.run_experiment(experiment)
    record = records(experiment)["erm", "lsq"]
    path = experiment.paths.out / record.sizes.path
    assert path.stat().st_size == record.sizes.packed_file
    state = read_model(path).state()
    dataset = load_dataset(experiment.setups[0].dataset, experiment.paths)
    network = experiment.setups[0].model.build(dataset.shape, len(dataset.classes))
    network.load_state_dict(state)
    network.eval()
    target = dataset.domains[dataset.index("thick")]
    x = (torch.from_numpy(target.images).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        correct = network(x).argmax(1).numpy() == target.labels
    assert (correct == unpack_bits(record.rows["iid"].correct, len(correct))).mean() > 0.995


def test_running_again_trains_nothing(quick, monkeypatch):
    experiment = quick("quantizer=[float,lsq]")
    session.run_experiment(experiment)
    before = {p: p.stat().st_mtime_ns for p in experiment.paths.out.rglob("*") if p.is_file()}
    monkeypatch.setattr(session, "run_cells", lambda *_: pytest.fail("trained again"))
    session.run_experiment(experiment)
    assert before == {p: p.stat().st_mtime_ns for p in experiment.paths.out.rglob("*") if p.is_file()}


def test_a_new_quantizer_reuses_the_float_phase_and_equals_a_run_of_its_own(quick):
    first, later, alone = (
        quick("quantizer=[float]"),
        quick("quantizer=[float,lsq]"),
        quick("quantizer=[lsq]", out="alone"),
    )
    for experiment in (first, later, alone):
        session.run_experiment(experiment)
    assert len(list((later.paths.out / "float").iterdir())) == 1
    together, single = records(later)["erm", "lsq"], records(alone)["erm", "lsq"]
    assert together.key == single.key
    assert together.rows == single.rows
    assert together.provenance["final_weights_sha256"] == single.provenance["final_weights_sha256"]


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (Exploding, "failed", "RuntimeError: boom second line"),
        (Diverging, "failed", "the training loss is inf; lower protocol.lr or the quantizer's lr_ratio"),
        (Picky, "unsupported", "no W7"),
        (Missing, "unavailable", "not installed: pip install no-such-package"),
    ],
)
def test_a_cell_that_cannot_is_recorded_and_the_others_go_on(quick, kind, status, reason):
    experiment = quick(with_quantizer(kind), "quantizer=[float,lsq]")
    assert session.run_experiment(experiment) == (status == "failed")
    got = records(experiment)
    bad = got["erm", kind.__name__.lower()]
    assert bad.status == status
    assert reason in bad.reason
    assert not bad.rows
    assert bad.role == "baseline"  # as Float, its parent, says
    assert got["erm", "float"].status == got["erm", "lsq"].status == "done"


def test_a_quantizer_whose_module_lacks_a_package_is_unavailable(quick, tmp_path, monkeypatch):
    (tmp_path / "needy.py").write_text("import no_such_package.part\n")
    monkeypatch.syspath_prepend(tmp_path)
    experiment = quick("+quantizer.needy={_target_: needy.Needy, spec: {}}", "quantizer=[float]")
    assert session.run_experiment(experiment) == 0
    bad = records(experiment)["erm", "needy"]
    assert bad.status == "unavailable"
    assert "needy.Needy needs no_such_package, which is not installed" in bad.reason
    assert (bad.role, bad.meaning) == ("method", "")


def test_a_record_says_the_role_of_its_quantizer(quick):
    experiment = quick(with_quantizer(Shuffle), "quantizer=[float,lsq]")
    assert session.run_experiment(experiment) == 0
    said = {name: (record.role, record.meaning) for (_, name), record in records(experiment).items()}
    assert said["shuffle"] == ("control", "shuffling the weights")
    assert said["float"] == ("baseline", Float.meaning)
    assert said["lsq"] == ("method", LSQ.meaning)


def test_failed_cells_run_again_on_demand_only(quick):
    experiment = quick(with_quantizer(Exploding), with_quantizer(Picky), "quantizer=[float]")
    session.run_experiment(experiment)
    cells, store = session.load_and_plan(experiment), RunStore(experiment.paths.out)
    assert session.pending_cells(cells, store) == []
    retried = session.pending_cells(cells, store, RerunPolicy(retry="failed"))
    assert [c.quantizer.name for c in retried] == ["exploding"]


def test_a_retried_cell_gets_a_new_record_and_the_others_keep_theirs(quick):
    experiment = quick(with_quantizer(Exploding), "quantizer=[float]")
    session.run_experiment(experiment)
    before = {r.labels.quantizer: r.provenance["created"] for r in records(experiment).values()}
    store = RunStore(experiment.paths.out)
    times = {q: store.cell_path(records(experiment)["erm", q].key).stat().st_ino for q in before}
    assert session.run_experiment(experiment, policy=RerunPolicy(retry="failed")) == 1
    again = {q: store.cell_path(records(experiment)["erm", q].key).stat().st_mtime_ns for q in before}
    assert again["exploding"] > again["float"]
    assert store.cell_path(records(experiment)["erm", "float"].key).stat().st_ino == times["float"]


def test_processes_give_the_same_records_as_this_one(quick):
    here, there = quick("quantizer=[float,lsq]"), quick("quantizer=[float,lsq]", "launcher.jobs=2", out="there")
    for experiment in (here, there):
        session.run_experiment(experiment)
    for name, record in records(here).items():
        assert records(there)[name].rows == record.rows
    assert {x.batch for x in RunStore(there.paths.out).latencies() if isinstance(x, Latency)} == {1, 32}


def test_a_killed_process_costs_one_cell(quick):
    experiment = quick("quantizer=[float,lsq]", with_quantizer(Dying), "launcher.jobs=1")
    assert session.run_experiment(experiment) == 1
    got = records(experiment)
    assert got["erm", "dying"].reason == "its process died 3 times: signal 9 (out of memory?)"
    assert got["erm", "float"].status == got["erm", "lsq"].status == "done"


def test_half_a_record_is_reported_and_only_that_cell_runs_again(quick):
    experiment = quick("quantizer=[float,lsq]")
    session.run_experiment(experiment)
    store = RunStore(experiment.paths.out)
    path = store.cell_path(records(experiment)["erm", "lsq"].key)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    assert [type(r) for r in store.records()].count(Unreadable) == 1
    assert [c.quantizer.name for c in session.pending_cells(session.load_and_plan(experiment), store)] == ["lsq"]
    session.run_experiment(experiment)
    assert json.loads(path.read_text())["rows"] == json.loads(whole)["rows"]


def test_a_folder_of_another_schema_is_left_alone(quick):
    experiment = quick()
    experiment.paths.out.mkdir()
    (experiment.paths.out / "run.json").write_text('{"schema": 99}')
    with pytest.raises(RecordError, match="schema 99, this version reads"):
        session.run_experiment(experiment)
    assert os.listdir(experiment.paths.out) == ["run.json"]


@pytest.mark.parametrize(("domains", "refused"), [(2, True), (3, False)])
def test_coral_needs_two_source_domains(quick, domains, refused):
    experiment = quick("algorithm=[coral]", "quantizer=[float]")
    whole = load_dataset(experiment.setups[0].dataset, experiment.paths)
    small = replace(whole, domains=whole.domains[-domains:])
    cell = session.load_and_plan(experiment)[0]
    data = CellData(small, small.index("thin"), 0, experiment.setups[0].protocol, "cpu")
    expected = ("unsupported", "coral needs 2 source domains, there are 1") if refused else None
    assert cell_incompatibility(cell, data) == expected
