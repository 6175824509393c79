"""The strength of a synthetic shift: shown in tables, part of the identity, and no part of the seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantdg.bench.experiment.load import load
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.data import CellData, load_dataset
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError
from quantdg.datasets.base import Outline


def outline(*domains: str, fingerprint: str = "data") -> Outline:
    return Outline(domains, domains, ("0", "1"), (3, 16, 16), fingerprint)


def test_the_usual_severity_is_the_data_set_as_it_always_was() -> None:
    plain, written = (
        load(words).cells({"digits": outline("faint", fingerprint="f")}) for words in ([], ["dataset.severity=1"])
    )
    assert [cell.key for cell in plain] == [cell.key for cell in written]
    assert {cell.labels.dataset for cell in written} == {"digits"}


def test_another_severity_is_another_data_set() -> None:
    found = outline("faint", fingerprint="f")
    plain = load([]).cells({"digits": found})
    half = load(["dataset.severity=0.5"]).cells({"digits@0.5": found})
    assert not {cell.key for cell in plain} & {cell.key for cell in half}
    assert {cell.labels.dataset for cell in half} == {"digits@0.5"}
    assert half[0].group.label.startswith("digits@0.5/faint seed 0 ")


def test_seeds_and_splits_are_those_of_the_usual_severity() -> None:
    """So that what differs between two severities is the shift alone."""
    made = []
    for words in ([], ["dataset.severity=0.5"]):
        experiment = load(words)
        data = load_dataset(experiment.setups[0].dataset, experiment.paths)
        made.append(CellData(data, 1, 0, experiment.setups[0].protocol, device="cpu"))
    assert made[0].seeds.base == made[1].seeds.base
    assert all((made[0].train[i] == made[1].train[i]).all() for i in made[0].sources)
    assert made[0].dataset.fingerprint != made[1].dataset.fingerprint


@pytest.mark.parametrize("word", ["dataset.severity=strong", "dataset.severity=null"])
def test_a_severity_is_a_number(word: str) -> None:
    experiment = load([word])
    with pytest.raises(ConfigError, match=r"digits\.severity must be a number"):
        experiment.setups[0].dataset.check("dataset")


def test_several_severities_are_several_data_sets_of_one_run(tmp_path: Path) -> None:
    words = [f"out={tmp_path}", "seeds=1", "targets=[faint]", "quantizer=[float]"]
    cells = load_and_plan(load([*words, "dataset.severity=[0.5,1,1.5]"]))
    assert [cell.labels.dataset for cell in cells] == ["digits@0.5", "digits", "digits@1.5"]
    alone = [load_and_plan(load([*words, f"dataset.severity={s}"])) for s in (0.5, 1, 1.5)]
    assert [cell.key for cell in cells] == [cell.key for (cell,) in alone]


def test_severities_of_one_data_set_among_others(tmp_path: Path) -> None:
    words = [
        "dataset=[digits,rotated_mnist]",
        "dataset.rotated_mnist.severity=[0.5,2]",
        "data.rotated_mnist.root=there",
    ]
    experiment = load([*words, f"out={tmp_path}"])
    assert [setup.name for setup in experiment.setups] == ["digits", "rotated_mnist@0.5", "rotated_mnist@2"]
    assert [experiment.paths.root_of(setup.dataset.name) for setup in experiment.setups] == [
        None,
        Path("there"),
        Path("there"),
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("[]", "at least one number"),
        ("[1,1.0]", "must name each entry once"),
        ("[0.5,0.5]", "0.5 twice"),
        *((f"[1,{other}]", r"numbers only, got \[1, ") for other in ("strong", "null", "true", "[2]")),
    ],
)
def test_a_list_of_severities_that_does_not_do(values: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load([f"dataset.severity={values}"])


def test_the_experiment_of_severities_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--plan", "experiment=severity", f"out={tmp_path}"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("digits@0.5", "digits@1.5"))
