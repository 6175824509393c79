"""The papers' tables as experiment files: what each names, that each composes, and what scale=smoke makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.describe import describe
from quantdg.bench.experiment.offers import leading_comment, own_files, read_settings
from quantdg.bench.experiment.words import continuations
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.reports.frames.results import load as load_results
from quantdg.reports.tables.papers import papers
from quantdg.reports.tables.published import published_tables

DATA = Path(os.environ.get("QUANTDG_DATA") or Path(__file__).parents[3].parent / "shared" / "data")
TABLES = sorted(name for name in own_files("experiment") if "/" in name)


def test_tables_are_of_papers_whose_numbers_are_there() -> None:
    printed = {paper.name: {row.table for row in paper.accuracies} for paper in papers()}
    for name in TABLES:
        paper, _, table = name.partition("/")
        assert table.removeprefix("table").partition("_")[0] in {t.lower() for t in printed[paper]}, name


@pytest.mark.parametrize("name", TABLES)
def test_every_table_composes_with_its_papers_settings(name: str) -> None:
    experiment = config.load([f"experiment={name}"])
    text = own_files("experiment")[name].read_text(encoding="utf-8")
    assert "data.root=DIR" in text
    assert (
        not {"model", "protocol.name"} & read_settings(own_files("experiment")[name]).keys()
    )  # scale=smoke chooses its own
    assert str(experiment.paths.out) == f"runs/{name.partition('/')[0]}"
    assert experiment.seeds == (0, 1, 2)
    assert experiment.setups[0].protocol.name.startswith(("qtdog", "swad", "domainbed-2020"))
    assert experiment.setups[0].protocol.bn == "frozen"
    assert leading_comment(own_files("experiment")[name]).startswith(("QT-DoG, Table", "SWAD, ", "DomainBed, "))


@pytest.mark.parametrize("name", TABLES)
def test_smoke_is_the_same_grid_and_says_what_it_is(name: str) -> None:
    whole, smoke = config.load([f"experiment={name}"]), config.load([f"experiment={name}", "scale=smoke"])
    for part in ("algorithms", "transforms", "quantizers", "averages"):
        assert [c.name for c in getattr(smoke, part)] == [c.name for c in getattr(whole, part)]
    assert [q.spec for q in smoke.quantizers] == [q.spec for q in whole.quantizers]
    assert len(smoke.start_steps) == len(set(smoke.start_steps)) == len(whole.start_steps)
    assert smoke.setups[0].protocol.name == f"{whole.setups[0].protocol.name}-smoke"
    assert str(smoke.paths.out) == f"{whole.paths.out}-smoke"
    assert (smoke.setups[0].dataset.name, smoke.setups[0].protocol.steps, smoke.seeds) == ("pacs", 20, (0,))
    assert smoke.setups[0].model.architecture in ("convnet", "test_vit")
    assert smoke.setups[0].model.architecture != whole.setups[0].model.architecture
    shares = [setup.protocol.start_step / setup.protocol.steps for setup in whole.setups]  # DomainNet's is another
    assert any(smoke.setups[0].protocol.start_step / 20 == pytest.approx(share, abs=0.03) for share in shares)


def test_what_the_command_line_says_goes_before_the_scale() -> None:
    words = [
        "experiment=qtdog/table14",
        "protocol.steps=40",
        "seeds=2",
        "out=runs/a~b",
        "protocol.name=mine",
        "scale=smoke",
    ]
    experiment = config.load([*words, "model=resnet18", "protocol.batch_size=4"])
    assert experiment.setups[0].protocol.steps == 40
    assert experiment.start_steps == (8, 16, 24, 32)  # a fifth of them and so on, as of 5000
    assert (experiment.seeds, experiment.setups[0].protocol.batch_size) == ((0, 1), 4)
    assert (str(experiment.paths.out), experiment.setups[0].protocol.name) == ("runs/a~b-smoke", "mine-smoke")
    assert experiment.setups[0].model.name == "resnet18"
    assert config.load(["experiment=qtdog/table4", "scale=null"]).setups[0].protocol.name == "qtdog"
    inq = next(q for q in config.load(["experiment=qtdog/table4", "scale=smoke"]).quantizers if q.name == "inq")
    assert inq.options["every"] == 3  # of 20, as 750 of 5000
    digits = config.load(["dataset=digits", "scale=smoke"])
    assert (
        digits.setups[0].dataset.name,
        digits.setups[0].dataset.options["size"],
        digits.setups[0].protocol.name,
    ) == ("digits", 16, "digits-smoke")


def test_a_scale_or_a_table_that_is_not_there_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="no scale named 'smok'; did you mean 'smoke'"):
        config.load(["scale=smok"])
    with pytest.raises(ConfigError, match="scale takes one name, got smoke, null; write scale=smoke"):
        config.load(["scale=smoke", "scale=null"])
    with pytest.raises(UnknownNameError, match="no experiment named 'qtdog/table99'; did you mean 'qtdog/table"):
        config.load(["experiment=qtdog/table99", "scale=smoke"])
    with pytest.raises(UnknownNameError, match="no experiment named 'qtdog/tabel4'"):
        describe("experiment", "qtdog/tabel4")


def test_tables_are_listed_shown_and_completed() -> None:
    assert "experiment=qtdog/table14" in continuations(["experiment=qtdog/table1"])
    assert continuations(["scale=s"]) == ["scale=smoke"]
    with config.hydra():
        assert set(TABLES) <= set(config.choices("experiment"))
    assert "start_steps: [1000, 2000, 3000, 4000]" in describe("experiment", "qtdog/table14")
    assert "counted:" in describe("scale", "smoke")


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "PACS").exists(), reason="no PACS; set QUANTDG_DATA")
@pytest.mark.parametrize("name", TABLES)
def test_every_table_runs_and_stands_beside_what_was_reported(name: str, tmp_path: Path) -> None:
    words = [f"experiment={name}", "scale=smoke", f"data.root={DATA}", f"out={tmp_path / 'runs'}", "launcher.jobs=0"]
    experiment = config.load([*words, "protocol.steps=10", "targets=[photo]", "protocol.batch_size=4"])
    assert run_experiment(experiment) == 0
    assert {record.status for record in RunStore(experiment.paths.out).records()} == {"done"}  # type: ignore[union-attr]
    tables = {table.name: table.text for table in published_tables(load_results(experiment.paths.out))}
    own = tables[f"published-{name.partition('/')[0]}"]
    assert own["measured"].str.contains(f", {experiment.setups[0].protocol.name}").any()
