"""What tools are told: each finished cell once, what its record holds, and never at the cost of the run."""

from __future__ import annotations

import sys
import threading
import types

import pytest

from quantdg.bench.commands.track import track
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment import offers
from quantdg.bench.tracking.cells import tracked_cell
from quantdg.bench.tracking.tracker import Tracker, open_tracker
from quantdg.bench.tracking.tracking import Tracking, report_files, track_report, without_cells
from quantdg.core import packages
from quantdg.core.errors import ConfigError, MissingPackageError, RecordError, UnknownNameError
from quantdg.datasets.base import Outline
from quantdg.reports.page.page import render_html, write_html
from quantdg.reports.report import Report

PATH = "digits/plain/0/erm/lsq/W7"


class Told(Tracker):
    """A tool that remembers."""

    heard: list
    fails = False

    def cell(self, cell):
        if self.fails:
            raise RuntimeError("the tool is broken")
        self.heard.append(cell)

    def report(self, page, tables):
        self.heard.append((page.name, sorted(tables)))

    def close(self):
        self.heard.append("closed")


class Broken(Told):
    fails = True


class Away(Told):
    def __init__(self, folder, project):
        raise ConnectionError("no server")


class Meeting(Told):
    """A tool that goes on only once two of its kind are at it at the same time."""

    door = threading.Barrier(2, timeout=10)

    def cell(self, cell):
        self.door.wait()
        super().cell(cell)


@pytest.fixture
def heard(monkeypatch):
    module = types.ModuleType("made_up_tools")
    module.Told, module.Broken, module.Away, module.Here, module.There = Told, Broken, Away, Meeting, Meeting
    Told.heard = []
    monkeypatch.setitem(sys.modules, "made_up_tools", module)
    known = {
        name: offers.Offer(f"made_up_tools.{name.title()}", "") for name in ("told", "broken", "away", "here", "there")
    }
    monkeypatch.setattr(offers, "_built_in", lambda group, real=offers._built_in: {**real(group), **known})
    return Told.heard


def handed(store, *tools, keys=None):
    said = []
    tracking = Tracking(store, tools, said.append)
    tracking.cells(keys or sorted(path.stem for path in (store.root / "cells").glob("*.json")))
    tracking.finish()
    return said


def test_a_cell_is_told_as_its_record_has_it(folder):
    made = folder()
    made.write(PATH)
    cell = tracked_cell(made.store.load(made.key(PATH)), "0123abcd", 5.0)
    assert (cell.name, cell.group, cell.ended) == (PATH, "digits/plain/0", 5.0)
    assert cell.settings == {"protocol.steps": 60, "protocol.start_step": 20}
    assert cell.curves["train/loss"] == [(20, 1 / 20), (40, 1 / 40), (60, 1 / 60)]
    assert cell.curves["source_validation/accuracy"] == [(20, 0.5), (40, 0.5), (60, 0.5)]
    assert cell.curves["target/out_accuracy"] == [(20, 0.25), (40, 0.25), (60, 0.25)]
    assert {name: cell.final[name] for name in ("iid/target_in", "iid/target_out", "iid/step")} == {
        "iid/target_in": 0.5,
        "iid/target_out": 0.4,
        "iid/step": 40,
    }
    assert cell.final["iid/source_validation"] == pytest.approx(0.8)


def test_a_cell_is_told_once_and_again_where_it_was_trained_again(folder, heard):
    made = folder()
    made.write(PATH)
    made.write("digits/plain/1/erm/lsq/W7", "failed", "boom")
    made.write("digits/thick/1/erm/lsq/W7").write_text("{")
    assert handed(made.store, "told") == []
    assert [cell.name for cell in heard[:-1]] == [PATH]
    assert heard.pop() == "closed"
    handed(made.store, "told")
    assert heard[1:] == ["closed"]
    first = heard[0].version
    made.write(PATH, seconds=7.0)
    handed(made.store, "told")
    assert heard[2].key == heard[0].key
    assert heard[2].version != first


def test_what_was_told_is_no_link(folder, heard, tmp_path):
    made, victim = folder(), tmp_path / "victim"
    made.write(PATH)
    victim.write_text("mine\n")
    place = made.store.root / "tracking" / "told" / "told.txt"
    place.parent.mkdir(parents=True)
    place.symlink_to(victim)
    with pytest.raises(RecordError, match="must be a regular file, not a link"):
        handed(made.store, "told")
    assert victim.read_text() == "mine\n"


def test_a_tool_that_fails_is_said_and_left_out_and_the_others_go_on(folder, heard):
    made = folder()
    made.write(PATH)
    made.write("digits/plain/1/erm/lsq/W7")
    said = handed(made.store, "broken", "told")
    again = f"quantdg track {made.store.root} --to broken goes on"
    assert said == [f"tracking with broken stopped: RuntimeError: the tool is broken; {again}"]
    assert len(heard) == 3


def test_a_tool_that_cannot_be_opened_is_said_and_left_out_too(folder, heard):
    made = folder()
    made.write(PATH)
    again = f"quantdg track {made.store.root} --to away goes on"
    assert handed(made.store, "away", "told") == [f"tracking with away stopped: ConnectionError: no server; {again}"]
    assert [cell.name for cell in heard[:-1]] == [PATH]


def test_no_tool_waits_for_another(folder, heard):
    made = folder()
    made.write(PATH)
    assert handed(made.store, "here", "there") == []
    assert [cell.name for cell in heard if cell != "closed"] == [PATH, PATH]


def test_a_run_that_is_stopped_waits_for_no_tool(folder, heard):
    made = folder()
    made.write(PATH)
    tracking = Tracking(made.store, ["told"], heard.append)
    tracking.abandon()
    tracking.cells([made.key(PATH)])
    assert heard == []
    assert not any(thread.is_alive() for thread in tracking._threads)
    handed(made.store, "told")
    assert [cell.name for cell in heard[:-1]] == [PATH]


def test_the_command_hands_over_cells_and_report_and_says_how_many(folder, heard, monkeypatch, capsys):
    made = folder()
    made.write(PATH)

    def dispatch(words):
        place = made.store.root.parent / "report"
        assert words[:3] == ["report", str(made.store.root), "--out"]
        assert words[4:] == ["--cells", "none"]  # a page alone: links to others would lead nowhere
        for name in ("index.html", "accuracy.csv", "accuracy.md"):
            (place.parent / words[3] / name).write_text("a,b\n1,2\n")
        print("the answer")

    monkeypatch.setattr("quantdg.core.cli.dispatch", dispatch)
    assert track([str(made.store.root), "--to", "told"]) == 0
    assert heard[1:] == [("index.html", ["accuracy"]), "closed"]
    assert track([str(made.store.root), "--to", "told"]) == 0
    assert track([str(made.store.root), "--to", "told", "--again"]) == 0
    assert sum(isinstance(word, tuple) for word in heard) == 3
    assert [line.partition(" and")[0] for line in capsys.readouterr().out.splitlines()] == [
        "told: 1 cells",
        "told: 0 cells",
        "told: 1 cells",
    ]
    assert track([str(made.store.root), "--to", "broken", "--again"]) == 1


@pytest.mark.parametrize("tool", ["tensorboard", "wandb", "mlflow", "trackio"])
def test_a_tool_that_is_not_installed_is_refused_with_its_extra(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError, match=rf"tracking=\[{tool}\] needs {tool}.*pip install 'quantdg\[{tool}\]'"
    ):
        open_tracker(tool, tmp_path / tool, "runs")


def test_tracking_is_no_part_of_what_a_cell_is():
    outlines = {"digits": Outline(("plain", "thick"), ("plain", "thick"), ("0", "1"), (3, 16, 16), "f" * 16)}
    plain, tracked = (
        config.load(["quantizer=[lsq]", "seeds=1", *words]) for words in ([], ["tracking=[tensorboard,mlflow]"])
    )
    assert tracked.tracking == ("tensorboard", "mlflow")
    assert [cell.key for cell in plain.cells(outlines)] == [cell.key for cell in tracked.cells(outlines)]
    with pytest.raises(UnknownNameError, match="no tracker named 'tensorbord'; did you mean 'tensorboard'"):
        config.load(["tracking=[tensorbord]"])
    with pytest.raises(ConfigError, match=r"write 'tracking=\[tensorboard\]'"):
        config.load(["tracking=[3]"])


def test_report_files_are_page_and_tables(tmp_path):
    for name in ("b.csv", "a.csv", "a.md", "index.html"):
        (tmp_path / name).touch()
    assert report_files(tmp_path) == (tmp_path / "index.html", {"a": tmp_path / "a.csv", "b": tmp_path / "b.csv"})


def test_the_page_of_a_run_has_no_links_to_what_a_tool_does_not_have(folder, heard):
    made = folder()
    made.write(PATH)
    report, page = Report.of(made.store.root), made.store.root / "report" / "index.html"
    write_html(report, page, "cells")
    page.with_name("accuracy.csv").touch()
    assert 'id="keys" data-cells="cells"' in page.read_text()
    with without_cells(page) as alone:
        assert alone.read_text() == render_html(report)
    track_report(made.store, ["told"], heard.append)
    assert heard == [("index.html", ["accuracy"]), "closed"]
