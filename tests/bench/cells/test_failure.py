"""A cell that fails keeps its reason and its traceback at the first try, and the others go on."""

import io
import pdb  # noqa: T100
import sys

import pytest

from quantdg.bench.cells.failure import CellFailedError
from quantdg.bench.commands.run import run
from quantdg.bench.commands.show import show
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.core.errors import ConfigError, RecordError
from quantdg.quantizers.float_ import Float
from quantdg.quantizers.lsq import LSQ

ONE_STEP = ["protocol.steps=1", "protocol.start_step=0", "protocol.check_every=1"]


class Bursting(Float):
    """Fails in training."""

    def on_step(self, model, step):
        raise ValueError("it bursts")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


ERRORS = {"mute": Mute(), "name": OSError("no caf\udce9.png"), "end": SystemExit(3), "long": KeyError("k" * 9000)}
"""What a plugin may raise that is hard to write down."""


class Raising(Float):
    """Fails in training with the error of a name."""

    def __init__(self, spec=None, seed=0, *, error):
        super().__init__(seed)
        self.error = error

    def on_step(self, model, step):
        raise ERRORS[self.error]


class Unmeasurable(LSQ):
    """Its audit, at the end, has a number that is none."""

    def audit(self, model):
        audit = super().audit(model)
        if getattr(self, "steps", 0) == 7:
            name = next(iter(audit.sites))
            object.__setattr__(audit.sites[name], "saturation", float("nan"))
        return audit

    def on_step(self, model, step):
        super().on_step(model, step)
        self.steps = step


def with_quantizer(kind):
    return f"+quantizer.{kind.__name__.lower()}={{_target_: {kind.__module__}.{kind.__name__}, spec: {{}}}}"


def records(folder):
    return {r.labels.quantizer: r for r in RunStore(folder).records() if isinstance(r, Record)}


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_training_that_leaves_all_numbers_is_a_failed_cell_at_the_first_try(quick, jobs):
    experiment = quick("quantizer=[float,lsq]", "protocol.lr=1e13", *ONE_STEP, f"launcher.jobs={jobs}")
    assert session.run_experiment(experiment) >= 2
    got = records(experiment.paths.out)
    assert {r.status for r in got.values()} == {"failed"}
    for record in got.values():
        assert "finite" in record.reason or "the training loss is" in record.reason
        assert "lower protocol.lr" in record.reason
    assert list((experiment.paths.out / "models").glob("*")) == []


def test_a_number_that_is_none_fails_its_cell_alone(quick):
    experiment = quick(with_quantizer(Unmeasurable), "quantizer=[lsq]")
    assert session.run_experiment(experiment) == 1
    got = records(experiment.paths.out)
    bad = got["unmeasurable"]
    assert bad.reason.startswith("a record holds finite numbers only, but audit.")
    assert "saturation is nan" in bad.reason
    assert got["lsq"].status == "done"
    assert not (experiment.paths.out / f"models/{bad.key}.safetensors").exists()


def test_an_error_of_any_kind_fails_its_cell_alone(quick, capsys):
    target = f"_target_: {__name__}.Raising, spec: {{}}"
    words = [f"+quantizer.{name}={{{target}, error: {name}}}" for name in ERRORS]
    experiment = quick(*words, "quantizer=[float]")
    assert session.run_experiment(experiment) == len(ERRORS)
    got = records(experiment.paths.out)
    assert got["float"].status == "done"
    assert got["mute"].reason == "Mute: a message that cannot be written"
    assert got["name"].reason == "OSError: no caf\\udce9.png"
    assert got["end"].reason == "SystemExit: 3"
    assert len(got["long"].reason) < 1100
    for name in ERRORS:
        show([f"{experiment.paths.out}/{got[name].key}"])
        assert "in on_step" in capsys.readouterr().out


def test_the_traceback_is_kept_and_shown(quick, capsys):
    experiment = quick(with_quantizer(Bursting), "quantizer=[float]")
    assert session.run_experiment(experiment) == 1
    folder, store = experiment.paths.out, RunStore(experiment.paths.out)
    bad = records(folder)["bursting"]
    assert bad.log == f"log/{bad.key}.txt"
    text = (folder / bad.log).read_text()
    assert text.startswith("digits/thick/0/erm/bursting/W7 (")
    assert 'in on_step\n    raise ValueError("it bursts")' in text
    assert text == store.read_log(bad)
    assert records(folder)["float"].log == ""
    show([f"{folder}/{bad.key}"])
    assert "ValueError: it bursts" in capsys.readouterr().out
    merge_runs([folder], folder.parent / "merged")
    assert (folder.parent / "merged" / bad.log).read_text() == text


def test_a_retry_replaces_the_traceback(quick, monkeypatch):
    experiment = quick(with_quantizer(Bursting), "quantizer=[float]")
    session.run_experiment(experiment)
    bad = records(experiment.paths.out)["bursting"]
    monkeypatch.setattr(Bursting, "on_step", lambda self, model, step: None)
    assert session.run_experiment(experiment, policy=RerunPolicy(retry="failed")) == 0
    assert not (experiment.paths.out / bad.log).exists()


def test_a_log_of_another_name_is_no_record(quick):
    experiment = quick(with_quantizer(Bursting), "quantizer=[float]")
    session.run_experiment(experiment)
    bad = records(experiment.paths.out)["bursting"]
    for log in ("../outside.txt", "/etc/passwd", "log/other.txt"):
        text = bad.to_json().replace(bad.log, log)
        with pytest.raises(RecordError, match="must have its log at"):
            Record.from_json(text)


def words(experiment, *more):
    out = f"out={experiment.paths.out}"
    small = ["targets=[thick]", "seeds=1", "protocol.steps=12", "protocol.start_step=5", "protocol.check_every=2"]
    return [
        *more,
        "model.width=4",
        "launcher.jobs=1",
        with_quantizer(Bursting),
        "quantizer=[float,lsq]",
        *small,
        out,
    ]


def test_debug_stops_at_the_first_failure_with_the_traceback(quick, capsys, monkeypatch):
    experiment = quick()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert run([*words(experiment), "--debug"]) == 1
    said = capsys.readouterr().err
    assert 'raise ValueError("it bursts")' in said
    assert "digits/thick/0/erm/bursting/W7" in said
    assert "nothing of it is stored" in said
    got = records(experiment.paths.out)
    assert "bursting" not in got
    assert len(got) < 3


def test_debug_opens_the_debugger_in_a_terminal(quick, monkeypatch):
    experiment, opened = quick(), []

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(pdb, "post_mortem", opened.append)
    assert run([*words(experiment), "--debug"]) == 1
    (traceback,) = opened
    while traceback.tb_next:
        traceback = traceback.tb_next
    assert traceback.tb_frame.f_code.co_name == "on_step"


def test_debug_is_for_this_machine(quick):
    with pytest.raises(ConfigError, match="write launcher=local"):
        session.run_experiment(quick("launcher=slurm"), debug=True)
    with pytest.raises(CellFailedError, match="bursting"):
        session.run_experiment(quick(with_quantizer(Bursting), "quantizer=[float]"), debug=True)
