"""A run folder of a stranger: whatever its records name, nothing is imported or called that is not installed."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from quantdg.bench.results.record import Record
from quantdg.core.cli import main

OLD = Path(__file__).parents[1] / "results" / "schema1" / "a"
EVIL = """
from pathlib import Path
Path(__file__).with_name("ran").write_text("imported")


def load(*_, **__):
    Path(__file__).with_name("ran").write_text("called")
"""


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that can be imported and notes it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "evil_part.py").write_text(EVIL)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "evil_part", raising=False)
    return site / "ran"


def named(part):
    """Every way in which a part of a record may name an object."""
    target = "evil_part.load"
    yield {**part, "component": target, "name": target}
    yield {**part, "component": "evil_part:load", "target": target, "_target_": target}
    yield {**part, "origin": f"import {target}"}
    yield {**part, "origin": "evil_part 1.0", "component": target}
    yield {
        **part,
        "options": {**part["options"], "_target_": target, "weights": target, "loader": {"_target_": target}},
    }
    yield target


def folders(tmp_path, schema):
    """Run folders whose records name the module, in each part and each way; half of these for records of old."""
    for group in ("dataset", "model", "algorithm", "quantizer", "optimizer", "step_rule", "schedule"):
        for number in range(len(group) % 2 if schema == 1 else 0, 6, 2 if schema == 1 else 1):
            root = tmp_path / f"{group}{number}"
            shutil.copytree(OLD, root)
            (root / "run.json").write_text(json.dumps({"schema": schema}))
            for path in (root / "cells").iterdir():
                raw = json.loads(path.read_text() if schema == 1 else Record.from_json(path.read_text()).to_json())
                part = raw["settings"].get(group) or {"options": {}}
                raw["settings"][group] = list(named(part))[number]
                if schema == 1 and isinstance(raw["settings"][group], dict):
                    raw["settings"][group]["target"] = "evil_part.load"
                path.write_text(json.dumps(raw))
            yield root


@pytest.mark.parametrize("schema", [1, 2])
def test_no_command_imports_what_a_record_names(tmp_path, evil, capsys, schema):
    keys = sorted(path.stem for path in (OLD / "cells").iterdir())
    for root in folders(tmp_path, schema):
        cells = [f"{root}/{key}" for key in keys[:2]]
        for words in (
            ["deploy", cells[0], "--out", str(tmp_path / "m.onnx"), "--rounds", "0"],
            ["ensemble", *cells],
            ["verdict", str(root), "--full"],
            ["show", "--full", cells[0]],
            ["status", str(root)],
            ["merge", str(root), "--out", str(tmp_path / "merged")],
        ):
            assert main(words) in (0, 1, 2), words
            assert not evil.exists(), (root, words)
            assert "evil_part" not in sys.modules
    assert "Traceback" not in capsys.readouterr().err


def test_the_report_and_a_run_import_nothing_either(tmp_path, evil, capsys):
    root = next(folders(tmp_path, 2))
    assert main(["report", str(root)]) == 0
    words = [
        "targets=[thick]",
        "seeds=1",
        "protocol.steps=4",
        "protocol.start_step=2",
        "model.width=4",
        "quantizer=[float]",
    ]
    assert main(["run", *words, "launcher.jobs=0", f"out={root}"]) == 0
    assert not evil.exists()
    capsys.readouterr()


@pytest.mark.parametrize("place", ["report", "report/cells"])
def test_a_report_goes_through_no_link(tmp_path, capsys, place):
    root, outside = tmp_path / "runs", tmp_path / "outside"
    shutil.copytree(OLD, root)
    outside.mkdir()
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).symlink_to(outside)
    assert main(["report", str(root)]) == 2
    assert f"{root / place} must be a folder, not a link" in capsys.readouterr().err
    assert not list(outside.iterdir())


@pytest.mark.parametrize("group", ["optimizer", "dataset", "model", "schedule", "step_rule"])
def test_the_command_line_names_only_parts_of_their_group(tmp_path, capsys, group):
    assert main(["run", "--plan", f"{group}._target_=os.system", f"out={tmp_path}/x"]) == 2
    said = capsys.readouterr().err
    assert f"{group}._target_ must name a subclass of" in said
    assert said.count("\n") == 1
