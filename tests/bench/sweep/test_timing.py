"""Plans of new folders: a few steps of each kind of cell are timed, and nothing is written."""

import pytest

from quantdg.bench.cells.job import Job
from quantdg.bench.commands.run import run
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.sweep.timing import SELECTIONS, _evaluated, time_kinds, timing_kind
from quantdg.bench.training.data import CellData
from quantdg.core.errors import ConfigError
from quantdg.quantizers.float_ import Float


class Broken(Float):
    """Cannot be inserted."""

    def prepare(self, model, example):
        raise RuntimeError("no")


GRID = ("quantizer=[float,lsq]", "algorithm=[erm,coral]", "seeds=2")
BROKEN = f"+quantizer.broken={{_target_: {__name__}.Broken, spec: null}}"


def test_each_kind_is_timed_once_and_the_plan_has_hours(quick):
    experiment = quick(*GRID, BROKEN)
    assert session.plan_run(experiment).seconds is None
    plan = session.plan_run(experiment, measure=True)
    assert (len(plan.cells), plan.timed, plan.measured) == (12, 4, 0)
    assert plan.unknown == 0, "a kind that cannot be timed costs what its likes do"
    assert plan.seconds > 0
    assert ", 4 kinds timed just now)" in plan.text(1)
    assert not experiment.paths.out.exists()


def test_what_the_folder_knows_is_not_timed_again(quick):
    experiment = quick(*GRID)
    cells, store = session.load_and_plan(experiment), RunStore(experiment.paths.out, create=True)
    record = Job(store, experiment.paths, Launcher(jobs=0)).attempt(cells[0])
    plan = session.plan_run(experiment, measure=True)
    assert (plan.timed, plan.measured) == (3, 1)
    timed = time_kinds(
        cells, {timing_kind(c.labels) for c in cells} - {timing_kind(record.labels)}, experiment.paths, Launcher()
    )
    assert [timing_kind(b.labels) for b in timed] == [timing_kind(record.labels)]
    assert timed[0].steps == cells[0].group.protocol.steps - cells[0].group.protocol.start_step


def test_the_images_a_branch_evaluates_are_counted_right(quick, monkeypatch):
    experiment = quick("quantizer=[lsq]", "averaging=[swad,ema]")
    cell, seen = session.load_and_plan(experiment)[0], []
    real = CellData.evaluation
    monkeypatch.setattr(CellData, "evaluation", lambda *a: seen.append(len(a[2])) or real(*a))
    job = Job(RunStore(experiment.paths.out, create=True), experiment.paths, Launcher(jobs=0))
    record, data = job.attempt(cell), job._open(cell.group)
    checks = sum(
        map(cell.group.protocol.is_check, range(cell.group.protocol.start_step + 1, cell.group.protocol.steps + 1))
    )
    distinct = len({record.rows[rule].step for rule in ("iid", "oracle", "last")})
    target = len(data.target_in) + len(data.target_out)
    assert sum(seen) == _evaluated(cell, data, checks) - (SELECTIONS - distinct) * target


def test_measuring_without_a_plan_is_refused():
    with pytest.raises(ConfigError, match="write quantdg run --plan --measure"):
        run(["--measure"])
