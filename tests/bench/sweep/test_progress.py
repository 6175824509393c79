"""What a run says of its progress where no bar can move."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from quantdg.bench.results.deployment import Deployment
from quantdg.bench.results.record import Labels, Record
from quantdg.bench.sweep.progress import DeployWatch, Watch, progress_bar

LABELS = Labels("digits", "thick", 0, "erm", "lsq", "W7", "convnet", "digits")
SETTINGS = {"protocol": {"steps": 60, "start_step": 20}}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_log_file_gets_a_line_a_minute_that_names_the_cell_and_the_time_left(terminal: bool) -> None:
    out, now = io.StringIO(), [0.0]
    console = Console(file=out, force_terminal=terminal, width=120)
    watch = Watch(progress_bar(console), 400, 9, lambda: now[0])
    for second in range(0, 130, 10):
        now[0] = second
        if second == 70:
            watch("cell", LABELS.path)
        watch("steps", 10)
    lines = [line for line in out.getvalue().splitlines() if "of the steps" in line]
    wanted = [
        "0 of 9 cells, 18 % of the steps, 1 min, about 5 min left",
        "0 of 9 cells, 32 % of the steps, 2 min, about 4 min left, at digits/thick/0/erm/lsq/W7",
    ]
    assert lines == ([] if terminal else wanted)


def test_the_time_left_is_that_of_the_folder_where_it_is_known() -> None:
    out, now, known = io.StringIO(), [0.0], [None, 4000.0]
    watch = Watch(progress_bar(Console(file=out)), 400, 9, lambda: now[0], left=lambda: known.pop(0))
    for now[0] in (60.0, 120.0):
        watch("steps", 100)
    assert [line.rpartition(", ")[2] for line in out.getvalue().splitlines()] == [
        "about 3 min left",
        "about 67 min left",
    ]


def test_cells_that_fail_alike_are_a_line_at_once_and_a_line_for_the_others() -> None:
    out, now = io.StringIO(), [0.0]
    watch = Watch(progress_bar(Console(file=out)), 400, 9, lambda: now[0])
    for seed in range(6):
        reason = f"loss is nan at step {seed}" if seed < 5 else "boom"
        watch("record", Record("0" * 16, "failed", replace(LABELS, seed=seed), SETTINGS, reason))
    assert out.getvalue().splitlines() == [
        "failed: digits/thick/0/erm/lsq/W7: loss is nan at step 0",
        "failed: digits/thick/5/erm/lsq/W7: boom",
    ]
    now[0] = 60.0
    watch("note", "a snapshot was damaged")
    watch.finish()
    more = "digits/thick/1/erm/lsq/W7, digits/thick/2/erm/lsq/W7, digits/thick/3/erm/lsq/W7 and 1 more"
    assert out.getvalue().splitlines()[2:] == [
        "note: a snapshot was damaged",
        f"4 more failed, as before: loss is nan at step 0 ({more})",
    ]


def test_a_driver_says_whom_it_waits_for_once_a_minute() -> None:
    out, now = io.StringIO(), [0.0]
    watch = Watch(progress_bar(Console(file=out)), 400, 9, lambda: now[0])
    for second in range(0, 100, 20):
        now[0] = second
        watch("waiting", f"waiting for {second} cells")
    assert out.getvalue().splitlines() == ["waiting for 0 cells", "waiting for 60 cells"]


def test_deployments_that_came_out_alike_are_one_line_that_names_the_runtime() -> None:
    out, now = io.StringIO(), [0.0]
    made = (("lsq", "size only", ""), ("pact", "integer", ""), ("apot", "size only", ""), ("lsq", "size only", ""))
    with DeployWatch(Console(file=out, width=200), lambda: now[0]) as watch:
        for left, (quantizer, kind, reason) in zip(
            range(4, -1, -1), (*made, ("inq", "failed", "\x1b[2J")), strict=True
        ):
            now[0] += 40
            labels = replace(LABELS, quantizer=quantizer)
            watch(Deployment("0" * 16, labels, "openvino", kind, reason=reason), left)
    assert out.getvalue().splitlines() == [
        "deployed digits/thick/0/erm/pact/W7 in openvino, 2 of 5, about 2 min left",
        "deployed digits/thick/0/erm/lsq/W7 in openvino, 4 of 5, about 40 s left",
        "deployed in openvino: 3 size only (lsq W7, apot W7)",
        "deployed in openvino: 1 integer (pact W7)",
        "deployed in openvino: 1 failed (inq W7): \\x1b[2J",
    ]
