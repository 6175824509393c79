"""quantdg.run does what the command does; quantdg.load gives its numbers as frames."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

import quantdg
from quantdg.bench.deploy.stored import open_cell
from quantdg.bench.experiment import load as config
from quantdg.bench.results.find import find_cell
from quantdg.core.cli import main
from quantdg.errors import ConfigError, RecordError, UnknownNameError

WORDS = (
    "quantizer=[float,lsq,dorefa]",
    "quantizer.dorefa.spec.act_bits=8",
    "targets=[thick,faint]",
    "seeds=1",
    "protocol.steps=12",
    "protocol.start_step=5",
    "protocol.check_every=2",
    "model.width=4",
    "launcher.jobs=0",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("a, 'b'=c") / "runs"


@pytest.fixture(scope="module")
def runs(folder):
    return quantdg.run(*WORDS, out=folder, quiet=True)


def test_accuracies_are_those_of_the_records(runs, folder):
    records = [json.loads(path.read_text()) for path in (folder / "cells").glob("*.json")]
    expected = {
        (r["labels"]["target"], r["labels"]["quantizer"], rule): 100 * row["target_in"]
        for r in records
        for rule, row in r["rows"].items()
    }
    found = {(r.target, r.quantizer, r.selection): r.accuracy for r in runs.accuracy.itertuples()}
    assert found == pytest.approx(expected)
    assert len(runs.accuracy) == len(expected)


def test_gains_are_differences_of_accuracies(runs):
    frame = runs.accuracy.set_index(["target", "seed", "selection", "quantizer"])["accuracy"]
    assert set(runs.gains["quantizer"]) == {"lsq"}
    assert len(runs.gains) == 2 * runs.accuracy["selection"].nunique()
    for row in runs.gains.itertuples():
        at = (row.target, row.seed, row.selection)
        assert row.gain == pytest.approx(frame[(*at, "lsq")] - frame[(*at, "float")])


def test_sizes_audit_latency_and_failures(runs):
    assert set(runs.sizes["quantizer"]) == {"float", "lsq"}
    packed = runs.sizes.set_index("quantizer")["packed_file"]
    assert packed["lsq"].max() < packed["float"].min()
    assert (runs.audit["quantizer"] == "lsq").all()
    assert list(runs.failures["status"]) == ["unsupported"] * 2
    assert runs.failures["reason"].str.contains("weights only").all()
    names = ["dataset", "model", "protocol", "algorithm", "quantizer", "bits", "target", "seed"]
    for frame in (runs.sizes, runs.latency, runs.audit, runs.curves, runs.flatness, runs.metrics):
        assert list(frame.columns[:8]) == names
        assert frame.columns[-1] == "key"
    assert len(runs.latency) > 0
    assert sorted(runs.sizes[["quantizer", "target"]].itertuples(index=False, name=None)) == [
        ("float", "faint"),
        ("float", "thick"),
        ("lsq", "faint"),
        ("lsq", "thick"),
    ]
    assert runs.curves["source_acc"].dropna().between(0, 1).all()
    assert runs.problems == ()


def test_the_stored_model_of_a_cell_is_right_on_the_recorded_images(runs, folder):
    key = runs.accuracy.query("quantizer == 'lsq'")["key"].iloc[0]
    store, record = find_cell(f"{folder}/{key}")
    cell = open_cell(store, record, config.load([*WORDS, f"out={folder.parent.parent}"]).paths)

    @torch.no_grad()
    def right():
        pairs = cell.batches(500)
        return np.concatenate([cell.network.eval()(torch.from_numpy(x)).argmax(1).numpy() == y for x, y in pairs])

    assert not np.array_equal(right(), cell.correct())
    quantdg.load_packed(folder / "models" / f"{key}.safetensors", cell.network)
    assert np.array_equal(right(), cell.correct())


def test_the_verdict(runs, capsys):
    verdict = runs.verdict(margin=1.0)
    assert verdict.found.rules.margin == 1.0
    assert verdict.answers["algorithm"].tolist() == ["erm"]
    assert verdict.answer == verdict.answers["answer"][0] == "not decidable"
    assert main(["verdict", str(runs.folder), "--margin", "1", "--full", "--format", "md"]) == 0
    assert capsys.readouterr().out == f"{verdict}\n"
    with pytest.raises(ConfigError, match="alpha"):
        runs.verdict(alpha=2.0)


def test_the_report_is_the_command_s(runs, tmp_path):
    files = runs.report(tmp_path / "a", html=tmp_path / "page.html")
    assert (
        main(
            [
                "report",
                str(runs.folder),
                "--out",
                str(tmp_path / "b"),
                "--html",
                str(tmp_path / "b.html"),
                "--cells",
                "none",
            ]
        )
        == 0
    )
    assert [path.name for path in files][:: len(files) - 1] == ["report.md", "page.html"]
    assert files[-1].read_bytes() == (tmp_path / "b.html").read_bytes()
    for path in files[:-1]:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_how_it_shows(runs):
    assert repr(runs) == f"<Runs {runs.folder}: 6 cells: 4 done, 2 unsupported. Protocols: digits.>"
    page = runs._repr_html_()
    assert page.count("<table") == 1
    assert "gain over float" in page
    assert "&#x27;b&#x27;" in page
    assert "oracle" not in page
    assert runs.verdict()._repr_markdown_().startswith("6 cells")


def test_a_second_run_trains_nothing(runs, folder):
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    again = quantdg.run(*WORDS, out=folder, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == before
    assert again.accuracy.equals(runs.accuracy)


def test_quiet_prints_nothing(runs, folder, capfd):
    quantdg.run(*WORDS, out=folder, quiet=True)
    assert capfd.readouterr() == ("", "")
    quantdg.run(*WORDS, out=folder)
    out, err = capfd.readouterr()
    assert out == ""
    assert "4 done" in err


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["quantizer=[lsqq]"], UnknownNameError, "did you mean 'lsq'"),
        (["--plan"], ConfigError, "a word must be NAME=VALUE, got '--plan'"),
        (["out=runs/a"], ConfigError, "out is given once"),
        (["retry=all"], ConfigError, "retry"),
        (["seeds"], ConfigError, "seeds"),
    ],
)
def test_bad_words_are_errors(words, error, message, tmp_path):
    with pytest.raises(error, match=message):
        quantdg.run(*WORDS, *words, out=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_program_that_uses_hydra_itself(runs, folder):
    with initialize_config_module("quantdg.bench.conf", version_base="1.3"):
        quantdg.run(*WORDS, out=folder, quiet=True)
        assert compose("config", ["seeds=8"]).seeds == 8


def test_a_folder_without_records():
    with pytest.raises(RecordError):
        quantdg.load(Path(__file__).parent)
