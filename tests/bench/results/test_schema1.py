"""Folders that version 0.3 wrote, real ones: read by every command, mapped to today's identities, never continued."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from quantdg.bench.deploy.stored import open_cell
from quantdg.bench.experiment import grid
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.grid import Paths
from quantdg.bench.results.find import find_cell
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import SCHEMA, Record, fingerprint
from quantdg.bench.results.schema1 import upgraded_settings
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.training import data
from quantdg.core.cli import main
from quantdg.core.errors import RecordError
from quantdg.reports.report import Report

OLD = Path(__file__).parent / "schema1"
TINY = ["seeds=1", "protocol.steps=12", "protocol.start_step=5", "protocol.check_every=2", "model.width=4"]
WORDS = {
    "a": [
        "quantizer=[float,lsq,freeze,pact]",
        "quantizer.pact.guard=false",
        "transform=[mixup]",
        "step_rule=sam",
        "averaging=[swad,ema]",
        "targets=[thick]",
        "flatness=quick",
        "launcher.jobs=0",
    ],
    "b": ["quantizer=[torch_ao,apot]", "match=noise", "match_to=lsq", "targets=[faint]", "launcher.jobs=0"],
}
KEPT = {"a": 4, "b": 2}
IMAGES = {json.loads(file.read_text())["settings"]["dataset"]["fingerprint"] for file in OLD.glob("*/cells/*.json")}


@pytest.fixture
def same_images(monkeypatch):
    """The embedded digits had five domains then; these tests are about words and files, so today's pass for them."""
    (then,) = IMAGES
    monkeypatch.setattr("quantdg.datasets.digits.content_fingerprint", lambda domains: then)
    data._load.cache_clear()
    yield
    data._load.cache_clear()


@pytest.fixture(params=sorted(WORDS))
def old(request, tmp_path):
    return Path(shutil.copytree(OLD / request.param, tmp_path / request.param))


def records(folder):
    found = list(RunStore(folder).records())
    assert all(isinstance(r, Record) for r in found)
    return found


def test_an_old_cell_has_the_identity_that_the_same_words_give_today_but_for_the_version_of_the_training(
    old, tmp_path, monkeypatch, same_images
):
    words = [*TINY, *WORDS[old.name], f"out={tmp_path / 'new'}"]
    later = {cell.key for cell in session.load_and_plan(config.load(words))}
    assert not later & {fingerprint(r.settings) for r in records(old)}  # SAWB, INQ and RSC train otherwise since then
    monkeypatch.setattr(grid, "TRAINING_VERSION", 2)
    cells = session.load_and_plan(config.load(words))
    today = {cell.key: cell.settings for cell in cells}
    found = {fingerprint(r.settings): r.settings for r in records(old)}
    assert json.dumps(found, sort_keys=True) == json.dumps(today, sort_keys=True)
    assert not today.keys() & {r.key for r in records(old)}


def test_tables_and_verdict_of_an_old_folder(old):
    report = Report.of(old)
    assert len(report.results.cells["key"].unique()) == KEPT[old.name]
    assert report.words()


def test_an_old_cell_opens_for_deployment(old, tmp_path, same_images):
    for record in records(old):
        cell = open_cell(*find_cell(str(old / record.key)), Paths(tmp_path, None, tmp_path / "cache"))
        cell.network.load_state_dict(cell.model.state())


def test_an_old_folder_is_merged_file_by_file(old, tmp_path):
    assert merge_runs([old], tmp_path / "new").copied == KEPT[old.name]
    assert merge_runs([old], tmp_path / "new").same == KEPT[old.name]
    assert {r.key for r in records(tmp_path / "new")} == {r.key for r in records(old)}
    for record in records(old):
        file = f"cells/{record.key}.json"
        assert (old / file).read_bytes() == (tmp_path / "new" / file).read_bytes()
        assert record.schema == SCHEMA


@pytest.mark.parametrize("mine_first", [True, False])
def test_the_same_cell_of_both_schemas_is_one(mine_first, tmp_path, monkeypatch, same_images):
    monkeypatch.setattr(grid, "TRAINING_VERSION", 2)  # that of the old cells
    old = OLD / "b"
    assert session.run_experiment(config.load([*TINY, *WORDS["b"], f"out={tmp_path / 'new'}"])) == 0
    sources = [tmp_path / "new", old] if mine_first else [old, tmp_path / "new"]
    merged = merge_runs(sources, tmp_path / "both")
    assert (merged.copied, merged.same + len(merged.conflicts)) == (2, 2)
    assert len(records(tmp_path / "both")) == 2


def test_new_cells_are_not_added_to_an_old_folder(old, capsys):
    words = ["run", *TINY, *WORDS[old.name], f"out={old}"]
    assert main(words) == 2
    assert "was written by version 0.3" in capsys.readouterr().err
    assert len(records(old)) == KEPT[old.name]


def test_somebody_elses_part_is_kept_by_name_and_never_imported(old, tmp_path):
    record = records(old)[0]
    path = old / "cells" / f"{record.key}.json"
    raw = json.loads(path.read_text())
    raw["settings"]["dataset"]["target"] = "antigravity.fly"
    path.write_text(json.dumps(raw, indent=1))
    found = RunStore(old).read(record.key)
    assert found.settings["dataset"]["origin"] == "import antigravity.fly"
    with pytest.raises(RecordError, match=r"must be an installed one, got antigravity.fly"):
        open_cell(RunStore(old), found, Paths(tmp_path, None, tmp_path / "cache"))
    assert "antigravity" not in sys.modules


def test_a_custom_name_keeps_its_loader():
    part = {"name": "mine", "target": "quantdg.datasets.folder.load_folder", "options": {}, "fingerprint": "f"}
    made = upgraded_settings({"dataset": part})["dataset"]
    assert made == {"component": "folder", "name": "mine", "options": {}, "fingerprint": "f"}


def test_a_schema_of_the_future_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"schema": 3}')
    with pytest.raises(RecordError, match="was written with schema 3, this version reads 1 and 2"):
        RunStore(tmp_path)
