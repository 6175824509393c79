"""One run over several data sets: one folder, one plan, the cells of each alone, and nothing lost by a kill."""

import io
import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from quantdg.bench.experiment import load as config
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError


def write_folder(root, domains, *, classes=2, images=8, seed=0):
    """A folder of images whose classes differ in brightness."""
    rng = np.random.default_rng(seed)
    for domain in domains:
        for label in range(classes):
            place = root / domain / f"class{label}"
            place.mkdir(parents=True)
            for number in range(images):
                pixels = rng.integers(100 * label, 100 * label + 100, (12, 12, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


def words(tmp_path):
    """A grid on the embedded digits and two folders, each with settings of its own."""
    for number, domains in enumerate((("day", "night"), ("east", "west", "thick"))):
        root = tmp_path / "data" / f"set{number}"
        if not root.exists():
            write_folder(root, domains, seed=number)
    return [
        "dataset=[digits,first,second]",
        *(f"dataset.{name}=folder" for name in ("first", "second")),
        *(f"dataset.{name}.size=12" for name in ("first", "second")),
        f"data.first.root={tmp_path / 'data' / 'set0'}",
        f"data.second.root={tmp_path / 'data' / 'set1'}",
        f"data.cache={tmp_path / 'cache'}",
        "targets=[faint,day,night,second/thick]",
        "seeds=1",
        "model.width=4",
        "protocol.steps=12",
        "protocol.start_step=5",
        "protocol.check_every=3",
        "protocol.batch_size=4",
        "protocol.second.steps=10",
        "protocol.second.augmentation=none",
        "quantizer=[float,lsq]",
    ]


def load(tmp_path, *more, out="runs"):
    return config.load([*words(tmp_path), f"out={tmp_path / out}", "launcher.jobs=0", *more])


def rows_of(folder):
    return {r.key: (r.labels, r.rows, r.provenance["final_weights_sha256"]) for r in RunStore(folder).records()}


def test_a_run_over_three_is_three_runs_merged(tmp_path, monkeypatch):
    out = io.StringIO()
    session.run_experiment(load(tmp_path), Console(file=out, width=300))
    said = out.getvalue()
    assert "digits: protocol digits: 12 steps, quantized after 5, weights none" in said
    assert "second: protocol digits: 10 steps" in said
    assert "in all 8 cells, 0 done before, 1 at a time" in said
    assert {x.labels.dataset for x in RunStore(tmp_path / "runs").latencies()} == {"digits", "first", "second"}
    monkeypatch.setattr(session, "measure_store", lambda *_: None)
    parts = {
        "digits": ["dataset=digits", "targets=[faint]"],
        "first": [
            "dataset=folder",
            "dataset.name=first",
            f"data.root={tmp_path / 'data' / 'set0'}",
            "targets=[day,night]",
        ],
    }
    general = [
        w for w in words(tmp_path) if w.partition("=")[0].count(".") < 2 and not w.startswith(("dataset", "targets"))
    ]
    for name, own in parts.items():
        size = ["dataset.size=12"] if name == "first" else []
        session.run_experiment(config.load([*general, *own, *size, f"out={tmp_path / name}", "launcher.jobs=0"]))
        alone = rows_of(tmp_path / name)
        assert alone == {key: row for key, row in rows_of(tmp_path / "runs").items() if row[0].dataset == name}
        assert len(alone) == {"digits": 2, "first": 4}[name]
    merge_runs([tmp_path / "digits", tmp_path / "first"], tmp_path / "merged")
    plan = session.plan_run(load(tmp_path, out="merged"))
    assert {name: dict(part.states) for name, part in plan.parts.items()} == {
        "digits": {"done": 2},
        "first": {"done": 4},
        "second": {"missing": 2},
    }


def test_the_plan_says_what_each_data_set_costs(tmp_path):
    plan = session.plan_run(load(tmp_path, "seeds=2"), measure=True)
    lines = plan.text(2).splitlines()
    starts = [line.partition("; core hours: about ")[0] for line in lines[:3]]
    assert starts == [
        f"{name}: {cells} cells in {cells // 2} groups: 0 done, {cells} missing, 0 failed, 0 unsupported; to run: {cells} "
        f"cells and {cells // 2} float phases"
        for name, cells in (("digits", 4), ("first", 8), ("second", 4))
    ]
    assert lines[3].startswith("16 cells in 8 groups: 0 done, 16 missing")
    assert lines[4] == "to run: 16 cells and 8 float phases"
    assert plan.timed == 6
    hours = [part.seconds for part in plan.parts.values()]
    assert plan.seconds == pytest.approx(sum(hours))
    assert min(hours) > 0


def test_what_one_data_set_refuses_the_others_run(tmp_path):
    """MLDG needs two source domains; a data set of two domains leaves one."""
    plan = session.plan_run(load(tmp_path, "algorithm=[mldg]"))
    assert {name: part.refused for name, part in plan.parts.items()} == {"digits": 0, "first": 4, "second": 0}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("targets=[faint,day,east,thick]", "thick is one of digits and of second; write digits/thick or second/thick"),
        ("max_cells=7", "at most 7 cells unless you say otherwise, this one has 8"),
    ],
)
def test_wrong_grids(tmp_path, more, message):
    with pytest.raises(ConfigError, match=message):
        session.plan_run(load(tmp_path, more))


def test_two_folders_with_the_same_images(tmp_path):
    words(tmp_path)
    copy = shutil.copytree(tmp_path / "data" / "set0", tmp_path / "copy")
    with pytest.raises(ConfigError, match="first and second hold the same images; leave one out of dataset"):
        session.plan_run(load(tmp_path, f"data.second.root={copy}", "targets=all"))


def test_a_killed_run_over_three_goes_on(drivers, tmp_path, monkeypatch):
    """Its driver is killed by the kernel's hand once some cells are stored: none is lost, doubled or trained again."""
    first = drivers.start(*words(tmp_path), out="killed", jobs=1)
    cells = tmp_path / "killed" / "cells"
    deadline = time.monotonic() + 120
    while len(list(cells.glob("*.json")) if cells.exists() else []) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    assert first.wait() == -9
    drivers.end()
    kept = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert 2 <= len(kept) < 8
    monkeypatch.setattr(session, "measure_store", lambda *_: None)
    session.run_experiment(load(tmp_path, out="whole"))
    session.run_experiment(load(tmp_path, out="killed"))
    assert {path.name: path.stat().st_mtime_ns for path in cells.glob("*.json") if path.name in kept} == kept
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    assert len(rows_of(tmp_path / "whole")) == 8


def test_commands_take_several(tmp_path, capsys):
    assert main(["prepare", *words(tmp_path)[:8]]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("digits: 1797 images", "first: 32 images", "second: 48 images"))
    assert main(["run", "--plan", *words(tmp_path), "targets=[faint,nigth,thick]"]) == 2
    assert json.dumps(capsys.readouterr().err).count("\\n") == 1
