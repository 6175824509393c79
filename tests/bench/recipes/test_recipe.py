"""The command of a recorded cell configures exactly that cell again, and running it gives the same bits."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantdg.bench.cells.job import Job
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.grid import Cell
from quantdg.bench.recipes.recipe import OUT, Recipe, recipe_of
from quantdg.bench.results.record import Record, fingerprint
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import checks
from quantdg.core.errors import RecordError

OLD = Path(__file__).parents[1] / "results" / "schema1" / "a"
TINY = ["targets=[thick]", "protocol.steps=12", "protocol.start_step=5", "protocol.check_every=4"]
RULE = "quantizer.lsq.spec.rules=[{pattern:'*',granularity:per_tensor},{pattern:'classifier*',weight_bits:8,act_bits:null}]"
CONFIGURATIONS = {
    "sam, mixup, averages": ["step_rule=sam", "transform=[mixup,mixstyle]", "averaging=[ema,sma,swad_reference]"],
    "nothing averaged": [
        "averaging=[]",
        "schedule=cosine",
        "optimizer=sgd",
        "quantizer=[dorefa]",
        "dataset.severity=2",
    ],
    "outputs": ["quantizer=[lsq]", "bits=3", "act_bits=8", "quantizer.lsq.spec.placement=full", "seeds=[4]"],
    "groups, rules": [RULE.replace("tensor", "group,group_size:4"), "quantizer=[lsq]", "act_bits=4"],
    "other names": ["dataset=[mine]", "dataset.mine=digits", "protocol.name='7 of 9'", "protocol.compile=true"],
    "noise of a number": ["match=noise", "match_to=0.05", "quantizer=[lsq]", "protocol.precision=bf16"],
    "another start": ["model=resnet18", "protocol=scratch", "start_steps=[10,20]", "++protocol.first_check=1"],
    "a part by its path": ["model._target_=quantdg.bench.models.convnet.convnet", "model.name=own", "protocol.lr=1e-5"],
}


def cells_of(words: list[str], folder: Path) -> list[Cell]:
    experiment = config.load([*words, f"out={folder}"])
    return checks.cells_of(experiment, checks.read_outlines(experiment))


def recorded(cell: Cell, **change: Any) -> Record:
    return Record(cell.key, "failed", cell.labels, cell.settings, reason="of a test", **change)


def words_of(recipe: Recipe) -> list[str]:
    """The words that a shell makes of the command, but for the folder."""
    program, command, *words = shlex.split(recipe.command.replace("\\\n", " "))
    assert (program, command, words.pop()) == ("quantdg", "run", f"out={OUT}")
    return words


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_command_of_a_cell_is_that_cell(name: str, tmp_path: Path) -> None:
    cell = cells_of(["targets=[thick]", "seeds=1", *CONFIGURATIONS[name]], tmp_path)[-1]
    recipe = recipe_of(recorded(cell))
    assert [again.key for again in cells_of(words_of(recipe), tmp_path)] == [cell.key], recipe.command
    assert len(recipe.notes) == 1


def test_the_default_cell_needs_its_choices_only(tmp_path: Path) -> None:
    recipe = recipe_of(recorded(cells_of(["quantizer=[lsq]", "targets=[thick]", "seeds=[2]"], tmp_path)[0]))
    assert list(recipe.words) == [
        "dataset=digits",
        "targets=[thick]",
        "seeds=[2]",
        "model=convnet",
        "protocol=digits",
        "algorithm=[erm]",
        "quantizer=[lsq]",
        "averaging=[swad]",
    ]
    assert not any(setting.differs for setting in recipe.settings)


def test_what_differs_comes_first_with_its_default(tmp_path: Path) -> None:
    cell = cells_of(["quantizer=[lsq]", "bits=4", "quantizer.lsq.lr_ratio=0.5", "seeds=1"], tmp_path)[0]
    first, second, third, *_ = recipe_of(recorded(cell)).settings
    assert (first.name, first.value, first.default) == ("quantizer.lsq.lr_ratio", 0.5, 0.1)
    assert (second.name, second.value, second.default) == ("quantizer.lsq.spec.weight_bits", 4, 7)
    assert not third.differs


def test_noise_of_a_quantizer_with_settings_of_its_own_takes_it_along(tmp_path: Path) -> None:
    words = ["match=noise", "match_to=lsq", "quantizer=[torch_ao,lsq]", "quantizer.lsq.lr_ratio=0.5", "targets=[thick]"]
    cell = cells_of([*words, "seeds=1"], tmp_path)[0]
    assert cell.labels.bits == "N=lsq"
    recipe = recipe_of(recorded(cell))
    assert cells_of(words_of(recipe), tmp_path)[0].key == cell.key
    assert "It runs lsq as well" in recipe.notes[0]


def test_what_no_record_has_is_asked_for(tmp_path: Path) -> None:
    cell = cells_of(["seeds=1", *TINY], tmp_path)[0]
    data = {**cell.settings["dataset"], "component": "pacs", "name": "pacs"}
    model = {"component": "resnet18", "name": "resnet18", "options": {"arch": "resnet18", "weights": "own.safetensors"}}
    settings = {**cell.settings, "dataset": data, "model": {**model, "weights_sha256": "ab12"}, "training_version": 1}
    made = {"threads": 4, "machine": {"device": "NVIDIA H100", "cpu": "EPYC"}, "versions": {"torch": "2.15.0"}}
    flatness = {"settings": {"name": "quick"}}
    recipe = recipe_of(replace(recorded(cell, provenance=made, flatness=flatness), settings=settings))
    assert {"data.root=DATA", "launcher.threads=4", "launcher.device=cuda", "flatness=quick"} <= set(recipe.words)
    assert "protocol.weights=own.safetensors" in recipe.words
    said = " ".join(recipe.notes)
    for part in ("DATA stands for", "own.safetensors, sha256 ab12", "trains otherwise", "further settings"):
        assert part in said
    assert "torch 2.15.0 on EPYC and NVIDIA H100" in said


def test_a_cell_of_version_0_3_has_a_command_with_a_warning() -> None:
    record = next(r for r in RunStore(OLD).records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    recipe = recipe_of(record)
    assert "step_rule=sam" in recipe.words
    assert "trains otherwise (training version 3, the cell has 2)" in " ".join(recipe.notes)


def test_settings_of_another_form_are_refused() -> None:
    record = next(r for r in RunStore(OLD).records() if isinstance(r, Record))
    with pytest.raises(RecordError, match="is not a whole record"):
        recipe_of(replace(record, key=fingerprint({}), settings={"model": "cnn"}))


def ran(words: list[str], folder: Path) -> Record:
    """The record of the only cell of these words."""
    experiment = config.load([*words, f"out={folder}"])
    (cell,) = cells_of(words, folder)
    record = Job(RunStore(folder, create=True), experiment.paths, experiment.launcher).attempt(cell)
    assert isinstance(record, Record)
    assert record.status == "done", record.reason
    return record


def test_running_the_command_gives_the_same_bits(tmp_path: Path) -> None:
    words = [*TINY, "seeds=[3]", "model.width=4", "quantizer=[lsq]", "bits=5", "algorithm=[coral]", "protocol.lr=2e-3"]
    first = ran(words, tmp_path / "first")
    second = ran(words_of(recipe_of(first)), tmp_path / "again")
    for name in ("key", "rows", "curve", "audit", "noise", "plan", "sizes", "logits"):
        assert getattr(first, name) == getattr(second, name), name
    assert first.provenance["final_weights_sha256"] == second.provenance["final_weights_sha256"]
