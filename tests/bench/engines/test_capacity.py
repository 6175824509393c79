"""How many processes fit: cores, GPUs and memory, each of which may be the scarce one."""

import pytest

from quantdg.bench.engines import capacity
from quantdg.bench.engines.local import _Pool
from quantdg.bench.engines.queue import CellQueue
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import plan_run
from quantdg.core.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "free", "expected"),
    [
        ({}, 64.0, 8),
        ({"threads": 3}, 64.0, 2),
        ({"threads": 16}, 64.0, 1),
        ({"memory_gb": 10}, 64.0, 6),
        ({"memory_gb": 100}, 64.0, 1),
        ({"memory_gb": 100}, None, 8),
        ({"device": "cuda"}, 64.0, 3),
        ({"device": "cuda", "memory_gb": 32}, 64.0, 2),
        ({"jobs": 40, "memory_gb": 100}, 64.0, 40),
        ({"jobs": 0}, 64.0, 0),
        ({"jobs": 0, "device": "cuda"}, 64.0, 0),
        ({"jobs": 2, "device": "cuda"}, 64.0, 6),
        ({"jobs": 2, "device": "cuda:1"}, 64.0, 2),
        ({"device": "cuda:1"}, 64.0, 1),
        ({"processes": 2}, 64.0, 4),
        ({"processes": 2, "memory_gb": 16}, 64.0, 2),
        ({"processes": 2, "device": "cuda"}, 64.0, 1),
    ],
)
def test_the_scarcest_thing_counts(monkeypatch, settings, free, expected):
    for name, value in (("usable_cores", 8), ("gpus", 3), ("free_gb", free)):
        monkeypatch.setattr(capacity, name, lambda value=value: value)
    assert capacity.jobs_of(Launcher(**settings)) == expected


@pytest.mark.parametrize(
    ("settings", "cells", "expected"),
    [
        ({"processes": 2}, 99, ""),
        ({"processes": 2, "jobs": 4}, 99, ""),
        ({"processes": 2, "jobs": 5}, 4, ""),
        (
            {"processes": 2, "jobs": 5},
            99,
            "cells at a time (5) x protocol.processes (2) x launcher.threads (1) are 10 cores, this machine gives 8; launcher.jobs=4 fits",
        ),
        (
            {"processes": 3, "threads": 3},
            9,
            "cells at a time (1) x protocol.processes (3) x launcher.threads (3) are 9 cores, this machine gives 8; one cell alone takes more",
        ),
        ({"processes": 3, "threads": 3, "device": "cuda"}, 9, ""),
    ],
)
def test_what_takes_more_cores_than_there_are_is_said(monkeypatch, settings, cells, expected):
    for name, value in (("usable_cores", 8), ("gpus", 3), ("free_gb", 64.0)):
        monkeypatch.setattr(capacity, name, lambda value=value: value)
    assert capacity.crowding(Launcher(**settings), cells) == expected


def test_a_plan_notes_it(quick, monkeypatch):
    monkeypatch.setattr(capacity, "usable_cores", lambda: 8)
    words = ("quantizer=[float,lsq,mse]", "protocol.processes=3")
    for jobs, notes in ((2, []), (9, ["launcher.jobs=2 fits"])):
        plan = plan_run(quick(*words, f"launcher.jobs={jobs}"))
        assert len(plan.run) > 2
        assert [note.rpartition("; ")[2] for note in plan.notes] == notes
        assert "cores, this machine gives 8; launcher.jobs=2 fits" in plan.text(jobs) or not notes


def test_processes_take_turns_on_the_gpus(monkeypatch):
    monkeypatch.setattr(capacity, "gpus", lambda: 2)
    assert [capacity.device_of(Launcher(device="cuda"), slot) for slot in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert capacity.device_of(Launcher(device="cuda:1"), 0) == "cuda:1"
    monkeypatch.setattr(capacity, "gpus", lambda: 5)
    assert [capacity.device_of(Launcher(device="cuda", processes=2), slot) for slot in range(3)] == [
        "cuda:0",
        "cuda:2",
        "cuda:0",
    ]
    assert capacity.device_of(Launcher(), 1) == "cpu"


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(capacity, "gpus", lambda: 1)
    for device in ("cpu", "cuda", "cuda:0"):
        capacity.check_device(Launcher(device=device))
    with pytest.raises(ConfigError, match="device=cuda:1 needs 2 GPUs that torch can use, there are 1; write"):
        capacity.check_device(Launcher(device="cuda:1"))
    with pytest.raises(ConfigError, match="processes=2 needs 2 GPUs that torch can use, there are 1; write"):
        capacity.check_device(Launcher(device="cuda", processes=2))


@pytest.mark.parametrize(("limit", "expected"), [("max", 4.0), (str(3 * 2**30), 2.0), (None, 4.0)])
def test_a_control_group_may_leave_less_than_the_machine_has(tmp_path, monkeypatch, limit, expected):
    monkeypatch.setattr(capacity, "_CGROUP", tmp_path)
    monkeypatch.setattr(capacity, "_available", lambda: 4.0)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(f"{2**30}\n")
    assert capacity.free_gb() == expected


def test_this_machine_says_what_is_free():
    assert 0 < capacity.free_gb() < 1e6


def test_wrong_memory():
    with pytest.raises(ConfigError, match=r"launcher.memory_gb must be above 0, got 0; write launcher.memory_gb=1"):
        Launcher(memory_gb=0)


@pytest.mark.parametrize(
    ("settings", "room", "expected"),
    [
        ({"device": "cuda"}, 2, 6),
        ({"device": "cuda"}, 9, 8),
        ({"device": "cuda", "threads": 2}, 9, 4),
        ({"device": "cuda", "memory_gb": 13}, 9, 4),
        ({"device": "cuda:1"}, 3, 3),
        ({"device": "cuda", "jobs": 1}, 9, 3),
        ({}, 9, 8),
    ],
)
def test_gpus_are_shared_once_their_room_is_known(monkeypatch, settings, room, expected):
    for name, value in (("usable_cores", 8), ("gpus", 3), ("free_gb", 64.0)):
        monkeypatch.setattr(capacity, name, lambda value=value: value)
    assert capacity.jobs_with(Launcher(**settings), room) == expected


def test_room_is_reckoned_with_headroom():
    gb = 2**30
    assert capacity.room_beside(peak=4 * gb, free=70 * gb) == 1 + 10
    assert capacity.room_beside(peak=4 * gb, free=7 * gb - 1) == 1
    assert capacity.room_beside(peak=60 * gb, free=0) == 1


def test_a_pool_takes_the_first_word_on_room(monkeypatch, tmp_path):
    for name, value in (("usable_cores", 8), ("gpus", 1), ("free_gb", 64.0)):
        monkeypatch.setattr(capacity, name, lambda value=value: value)
    queue = CellQueue([], lambda key: True)
    pool = _Pool(queue, RunStore(tmp_path, create=True), None, Launcher(device="cuda"), watch=lambda *_: None)
    assert pool.jobs == 1
    pool._answer(None, "room", 5)
    pool._answer(None, "room", 2)
    assert pool.jobs == 5
