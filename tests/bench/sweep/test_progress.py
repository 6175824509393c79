"""What a run says of its progress where no bar can move."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from quantdg.bench.results.deployment import Deployment
from quantdg.bench.results.record import Labels
from quantdg.bench.sweep.progress import Watch, deploy_watch, progress_bar


@pytest.mark.parametrize("terminal", [False, True])
def test_a_log_file_gets_a_line_a_minute(terminal: bool) -> None:
    out, now = io.StringIO(), [0.0]
    console = Console(file=out, force_terminal=terminal, width=120)
    watch = Watch(progress_bar(console), 400, lambda: now[0])
    for second in range(0, 130, 10):
        now[0] = second
        watch("steps", 10)
    lines = [line for line in out.getvalue().splitlines() if "of the steps" in line]
    wanted = [
        "0 cells, 18 % of the steps, 1 min, about 5 min left",
        "0 cells, 32 % of the steps, 2 min, about 4 min left",
    ]
    assert lines == ([] if terminal else wanted)


def test_a_driver_says_whom_it_waits_for_once_a_minute() -> None:
    out, now = io.StringIO(), [0.0]
    watch = Watch(progress_bar(Console(file=out)), 400, lambda: now[0])
    for second in range(0, 100, 20):
        now[0] = second
        watch("waiting", f"waiting for {second} cells")
    assert out.getvalue().splitlines() == ["waiting for 0 cells", "waiting for 60 cells"]


def test_deployments_that_came_out_alike_are_one_line_that_names_the_runtime() -> None:
    out = io.StringIO()
    with deploy_watch(Console(file=out, width=200)) as watch:
        for quantizer, kind, reason in (
            ("lsq", "size only", ""),
            ("pact", "integer", ""),
            ("apot", "size only", ""),
            ("lsq", "size only", ""),
            ("inq", "failed", "\x1b[2J"),
        ):
            labels = Labels("digits", "thick", 0, "erm", quantizer, "W7", "convnet", "digits")
            watch(Deployment("0" * 16, labels, "openvino", kind, reason=reason))
    assert out.getvalue().splitlines() == [
        "deployed in openvino: 3 size only (lsq W7, apot W7)",
        "deployed in openvino: 1 integer (pact W7)",
        "deployed in openvino: 1 failed (inq W7): \\x1b[2J",
    ]
