"""The board of a folder: its grid, its numbers, and that a look costs only what is new."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from quantdg.bench.board.board import Board, duration
from quantdg.bench.board.fit import fitted
from quantdg.bench.board.live import show_live
from quantdg.bench.board.reader import BoardReader
from quantdg.bench.board.terminal import TerminalBoard
from quantdg.bench.cells.lease import Leases
from quantdg.bench.commands.watch import watch
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import status as status_module
from quantdg.core.errors import ConfigError, RecordError


def lines(board: Board, **kind) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120).print(TerminalBoard(**kind).draw(board))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_frame_shows_every_state_the_results_and_why_cells_failed(folder, tmp_path):
    made = folder(datasets=("digits", "pacs"))
    now = time.time()
    made.write("digits/plain/0/erm/float/float", at=now - 100)
    made.write("digits/plain/0/erm/lsq/W7", at=now - 40)
    made.write("digits/plain/1/erm/lsq/W7", "failed", "boom \x1b[2J", at=now - 50)
    made.write("digits/thick/0/erm/lsq/W7", "unsupported", "no", at=now - 50)
    made.write("pacs/plain/0/erm/float/float").write_text("{")
    with Leases(made.store.work).acquire(made.key("pacs/thick/0/erm/float/float")):
        board = BoardReader(tmp_path / "runs").read()
    shown = lines(board)
    assert (
        shown[1]
        == "██████░░░░░░░░░░░░░░ 31 %  16 cells: 2 done, 1 running, 10 waiting, 1 failed, 1 unsupported, 1 damaged"
    )
    assert shown[2].startswith("1 process at work, 30 cells an hour over the last 10 min, about 1 min left")
    assert shown[4:9] == [
        "             digits        pacs",
        "             plain  thick  plain  thick",
        "erm  float   ●·     ··     ·!     ◐·",
        "erm  lsq W7  ●✗     ·–     ··     ··",
        "● done   ◐ running   · waiting   ✗ failed   – unsupported   ! damaged",
    ]
    assert shown[10].startswith("at work  pacs/thick/0/erm/float/float on ")
    assert shown[11].split() == ["latest", "source", "val.", "target"]
    assert shown[12].split() == ["digits/plain/0/erm/lsq/W7", "80.0", "%", "50.0", "%", "40", "s", "ago"]
    assert [cell.cell for cell in board.latest] == ["digits/plain/0/erm/lsq/W7", "digits/plain/0/erm/float/float"]
    assert "1 x failed: boom \\x1b[2J" in shown
    assert any("1 x damaged: " in line for line in shown)
    assert all(line.isascii() for line in lines(board, ascii_only=True))


def test_the_time_left_is_that_of_status_and_runs_down_since_the_newest_record(folder, tmp_path):
    made = folder()
    made.write("digits/plain/0/erm/float/float", at=time.time() - 4)
    with Leases(made.store.work).acquire(made.key("digits/thick/0/erm/float/float")):
        board = BoardReader(tmp_path / "runs").read()
    whole = 7 * 6 + 4 * 20 * 0.1  # seven cells of 6 s, four float phases of 20 steps at 100 ms
    assert board.core_seconds == pytest.approx(whole)
    assert board.left == pytest.approx(whole - 4, abs=0.5)
    assert (
        BoardReader(tmp_path / "runs")
        .read()
        .speed()
        .startswith("nobody works on the 7 cells that are missing, 50 s of")
    )


@pytest.mark.parametrize(("width", "count"), [(120, 40), (80, 24)])
def test_a_grid_of_thousands_fits_and_loses_no_cell(folder, tmp_path, width, count):
    arms = [(f"quantizer{i}", "W7") for i in range(30)]
    algorithms = [f"algorithm{i}" for i in range(8)]
    targets = [f"target_domain_{i}" for i in range(6)]
    made = folder(datasets=("a", "b"), targets=targets, algorithms=algorithms, arms=arms, seeds=1)
    made.write("b/target_domain_5/0/algorithm7/quantizer29/W7", "failed", "boom")
    board = BoardReader(tmp_path / "runs").read()
    shown = lines(board, width=width, lines=count)
    assert len(shown) <= count
    assert max(map(len, shown)) <= width
    grid = fitted(board, width, 20)
    assert sum(sum(box.values()) for row in grid.boxes for box in row) == board.total == 2880
    assert grid.notes == ("targets of a data set together", "all algorithms together", "the last 11 rows together")
    assert grid.rows[0] == ("", "quantizer29 W7")  # the one with a failure comes first


def test_only_what_has_changed_is_read_again(folder, tmp_path, monkeypatch):
    made, read = folder(seeds=10), []
    real = status_module.summarize_file
    monkeypatch.setattr(status_module, "summarize_file", lambda path: read.append(path.name) or real(path))
    paths = [labels.path for labels in made.labels.values()]
    for path in paths[:20]:
        made.write(path)
    reader = BoardReader(tmp_path / "runs")
    assert (reader.read().states["done"], len(read)) == (20, 20)
    made.write(paths[20])
    changed = made.write(paths[0], "failed", "boom")
    made.store.delete(made.key(paths[1]))
    read.clear()
    states = reader.read().states
    assert (states["done"], states["failed"], states["waiting"]) == (19, 1, 20)
    assert sorted(read) == sorted([changed.name, f"{made.key(paths[20])}.json"])


def test_ctrl_c_leaves_the_terminal_as_it_was_with_the_last_board(folder, tmp_path, monkeypatch):
    folder()
    out = io.StringIO()

    def stop(seconds):
        assert seconds == 2.0
        raise KeyboardInterrupt

    monkeypatch.setattr("quantdg.bench.board.live.time.sleep", stop)
    show_live(BoardReader(tmp_path / "runs"), Console(file=out, force_terminal=True, width=120, height=50), 2.0)
    live, last = out.getvalue().split("\x1b[?1049l")
    assert "\x1b[?25h" in live + last
    assert "8 cells: 0 done, 8 waiting" in last


def test_the_command_prints_one_board_in_a_pipe(folder, tmp_path, capsys):
    made = folder(seeds=1, targets=("plain",))
    for labels in made.labels.values():
        made.write(labels.path)
    assert watch([str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert "100 %  2 cells: 2 done, 0 failed\nnothing is missing\n" in said
    assert "\x1b" not in said
    with pytest.raises(ConfigError, match="write --every 2"):
        watch([str(tmp_path / "runs"), "--every", "0"])
    with pytest.raises(RecordError, match="is not a run folder"):
        watch([str(tmp_path)])


def test_a_folder_without_cells_says_so(tmp_path):
    RunStore(tmp_path / "runs", create=True)
    assert "no cell has been asked for yet" in lines(BoardReader(tmp_path / "runs").read())


def test_durations_have_two_units_at_most():
    assert [duration(s) for s in (3, 59.4, 90, 3599, 3600, 90000)] == [
        "3 s",
        "59 s",
        "2 min",
        "1 h 0 min",
        "1 h 0 min",
        "1 d 1 h",
    ]
