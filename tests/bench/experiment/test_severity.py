"""The strength of a synthetic shift: shown in tables, part of the identity, and no part of the seeds."""

from __future__ import annotations

import pytest

from quantdg.bench.experiment.load import load
from quantdg.bench.training.data import CellData, load_dataset
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
    plain, half = (
        load(words).cells({"digits": outline("faint", fingerprint="f")}) for words in ([], ["dataset.severity=0.5"])
    )
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
