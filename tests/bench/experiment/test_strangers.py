"""A package of somebody else adds parts by entry points alone, and a record made with them imports nothing."""

import json
import os
import subprocess
import sys

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main

MODULE = '''
"""Parts of a stranger's package."""
import torch

from quantdg.bench.models.base import DGModel
from quantdg.bench.schedules.base import Schedule
from quantdg.bench.step_rules.base import StepRule
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.digits import load_digits
from quantdg.quantizers.freeze import Freeze


class Halve(Freeze):
    """A control that freezes, too."""

    name = "halve"
    role = "control"
    meaning = "freezing under another name"
    reference = "nobody, 2026"

    def __init__(self, *args, pull: float = 0.5, **options) -> None:
        super().__init__(*args, **options)
        self.pull = pull


class Twice(StepRule):
    """Two optimizer steps on one gradient."""

    def __init__(self, *, times: int = 2) -> None:
        self.times = times

    def step(self, algorithm, gradients):
        terms = gradients()
        for _ in range(self.times):
            algorithm.optimizer.step()
        return terms


class Ramp(Schedule):
    """From nothing up."""

    def factor(self, step, steps):
        return step / steps


def rprop(parameters, *, lr: float, weight_decay: float, etas: list[float] = (0.5, 1.2)) -> torch.optim.Optimizer:
    """Rprop, which knows no weight decay."""
    return torch.optim.Rprop(parameters, lr=lr, etas=tuple(etas))


def tiny(shape, classes, *, width: int = 3) -> DGModel:
    """One convolution."""
    features = torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], width, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    return DGModel(features, width, classes)


def more_digits(name: str, *, root=None, cache_dir=None, side: int = 8) -> DomainDataset:
    """The digits under another name."""
    return load_digits(name, size=side)
'''
TABLE = '''
"""A table of a stranger's package."""
import pandas as pd

from quantdg.reports.tables.table import Table


def states(results):
    """Say which state the cells of each quantizer are in."""
    for section, cells in results.sections():
        frame = cells[["quantizer", "status"]].drop_duplicates().astype(str)
        yield Table(name="states", title="States of the cells", text=frame, numbers=frame, section=section)
'''
ENTRY_POINTS = """
[quantdg.quantizers]
halve = stranger:Halve
[quantdg.step_rules]
twice = stranger:Twice
[quantdg.schedules]
ramp = stranger:Ramp
[quantdg.optimizers]
rprop = stranger:rprop
[quantdg.models]
tiny = stranger:tiny
[quantdg.datasets]
more_digits = stranger:more_digits
[quantdg.tables]
states = stranger_table:states
"""
SHORT = ["targets=[thick]", "seeds=1", "protocol.steps=12", "protocol.start_step=5", "launcher.jobs=0"]
OWN = {
    "step_rule.times": 3,
    "model.width": 4,
    "quantizer.halve.pull": 0.25,
    "dataset.side": 16,
    "optimizer.etas": [0.4, 1.1],
}
CHOICES = ["step_rule=twice", "schedule=ramp", "optimizer=rprop", "model=tiny", "dataset=more_digits"]
WRITTEN = [f"{name}={value}".replace(" ", "") for name, value in OWN.items()]


def install(folder, version="1.0", entry_points=ENTRY_POINTS):
    """A package as pip leaves it."""
    info = folder / f"stranger-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / "stranger.py").write_text(MODULE)
    (folder / "stranger_table.py").write_text(TABLE)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


def quantdg(site, *words):
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "quantdg.bench", *map(str, words)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The stranger's site folder, a finished run folder, and what the run printed."""
    folder = tmp_path_factory.mktemp("stranger")
    site = install(folder / "site")
    words = [*SHORT, *CHOICES, *WRITTEN, "quantizer=[float,lsq,halve]", f"out={folder / 'runs'}"]
    done = quantdg(site, "run", *words)
    assert done.returncode == 0, done.stderr
    return site, folder / "runs", done.stdout


def test_every_part_counts_and_says_whose_it_is(made):
    records = {r.labels.quantizer: r for r in RunStore(made[1]).records() if isinstance(r, Record)}
    settings = records["halve"].settings
    assert {r.status for r in records.values()} == {"done"}
    assert settings["quantizer"]["origin"] == "stranger 1.0"
    for group in ("step_rule", "schedule", "optimizer", "model", "dataset"):
        assert settings[group]["origin"] == "stranger 1.0", group
    assert "origin" not in records["lsq"].settings["quantizer"]
    assert records["halve"].labels.algorithm == "erm+twice+rprop+ramp"


def test_every_keyword_of_a_part_is_a_setting(made):
    record = next(r for r in RunStore(made[1]).records() if r.labels.quantizer == "halve")
    found = {
        group: record.settings[group]["options"]
        for group in ("step_rule", "model", "quantizer", "dataset", "optimizer")
    }
    for name, value in OWN.items():
        assert found[name.partition(".")[0]][name.rpartition(".")[2]] == value


@pytest.mark.slow
@pytest.mark.parametrize(
    "word", ["quantizer.halve.pul=1", "+step_rule.time=1", "+model.wdth=1", "optimizer.eta=1", "schedule.x=1"]
)
def test_what_is_no_keyword_of_a_part_is_refused(made, word):
    done = quantdg(made[0], "run", "--plan", *SHORT, *CHOICES, "quantizer=[float,lsq,halve]", word)
    assert done.returncode == 2
    assert f"named '{word.partition('=')[0].rpartition('.')[2]}'" in done.stderr


def test_the_control_is_a_control(made):
    record = next(r for r in RunStore(made[1]).records() if r.labels.quantizer == "halve")
    assert (record.role, record.meaning) == ("control", "freezing under another name")
    assert "halve" in made[2]


def test_the_table_is_in_the_report(made):
    assert "States of the cells" in (made[1] / "report" / "report.md").read_text()
    lines = (made[1] / "report" / "states.csv").read_text().splitlines()
    assert lines == ["quantizer,status", "float,done", "halve,done", "lsq,done"]


def test_a_cell_of_a_stranger_opens_only_where_the_same_package_is(made, tmp_path):
    site, runs, _ = made
    key = next((runs / "cells").glob("*.json")).stem
    other = install(tmp_path / "newer", "2.0")
    words = ("deploy", runs / key, "--out", tmp_path / "model.onnx", "--runtime", "onnxruntime", "--rounds", 7)
    assert quantdg(site, *words).returncode == 0
    for place, reason in ((tmp_path / "nothing", "it is not there"), (other, "it comes from stranger 2.0")):
        done = quantdg(place, *words)
        assert done.returncode == 2
        assert reason in done.stderr
        assert "of stranger 1.0" in done.stderr
        assert done.stderr.count("\n") == 1


def test_another_version_is_another_cell(made, tmp_path):
    site, runs, _ = made
    newer = install(tmp_path / "newer", "2.0")
    words = ("run", "--plan", *SHORT, *CHOICES, *WRITTEN, "quantizer=[float,lsq,halve]", f"out={runs}")
    assert "to run: 0 cells" in quantdg(site, *words).stdout
    assert "to run: 3 cells" in quantdg(newer, *words).stdout


def test_a_name_that_is_taken_is_refused(tmp_path):
    site = install(tmp_path, entry_points="[quantdg.quantizers]\nlsq = stranger:Halve\n")
    done = quantdg(site, "run", "--plan", *SHORT, f"out={tmp_path / 'runs'}")
    assert done.returncode == 2
    assert "'lsq' of stranger 1.0 is there already; rename it" in done.stderr


@pytest.mark.parametrize("error", ["raise RuntimeError('boom')", "raise SystemError", "1 +", "import no_such_module"])
def test_a_plugin_that_does_not_import_breaks_neither_list_nor_help(tmp_path, error):
    site = tmp_path / "site"
    install(
        site, entry_points="[quantdg.quantizers]\nbroken = broken_part:X\n[quantdg.commands]\nbroken = broken_part:x\n"
    )
    (site / "broken_part.py").write_text(error)
    for words in (["list"], ["--help"]):
        done = quantdg(site, *words)
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("  broken ")]
        assert "broken: " in line or "unavailable: " in line
    assert "lsq" in quantdg(site, "list").stdout


@pytest.mark.slow
def test_a_part_named_by_its_path_trains_but_opens_nowhere(tmp_path):
    site, runs = install(tmp_path / "site", entry_points=""), tmp_path / "runs"
    done = quantdg(site, "run", *SHORT, "model=convnet", "model._target_=stranger.tiny", "~model.width", f"out={runs}")
    assert done.returncode == 0, done.stderr
    path = next((runs / "cells").glob("*.json"))
    assert json.loads(path.read_text())["settings"]["model"]["origin"] == "import stranger.tiny"
    done = quantdg(site, "deploy", runs / path.stem, "--out", tmp_path / "model.onnx")
    assert done.returncode == 2
    assert "must be an installed one, got stranger.tiny" in done.stderr


@pytest.mark.parametrize(
    "word",
    [
        "optimizer._target_=os.system",
        "dataset._target_=os.system",
        "model._target_=pandas.read_pickle",
        "step_rule._target_=quantdg.bench.schedules.base.Constant",
        "+quantizer.x={_target_: hydra.utils.instantiate, spec: {}}",
    ],
)
def test_nothing_else_is_called(word, tmp_path, capsys):
    assert main(["run", "--plan", *SHORT, word, f"out={tmp_path / 'runs'}"]) == 2
    error = capsys.readouterr().err
    assert "must name a subclass of" in error
    assert error.count("\n") == 1
