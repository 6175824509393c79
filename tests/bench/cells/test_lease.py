"""Leases: one holder at a time, whatever the clocks say, and none that comes back from the dead."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from quantdg.bench.cells import lease as leasing
from quantdg.bench.cells.lease import Lease, LeaseLostError, Leases
from quantdg.bench.cells.lease_file import Holder
from quantdg.bench.cells.process import Identity, current_process, is_dead
from quantdg.bench.results.files import StorageError


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(leasing.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def strangers(monkeypatch):
    """Nobody's process can be looked up: as between two machines."""
    monkeypatch.setattr(leasing, "is_dead", lambda _: False)


def test_one_has_it_until_it_is_given_back(tmp_path):
    first = Leases(tmp_path).acquire("a")
    assert isinstance(first, Lease)
    second = Leases(tmp_path).acquire("a")
    assert isinstance(second, Holder)
    assert second.who.pid == os.getpid()
    first.check()
    first.close()
    assert names(tmp_path) == []
    again = Leases(tmp_path).acquire("a")
    again.close()


def no_links(*_):
    raise OSError(errno.EPERM, "no links here")


@pytest.mark.parametrize("links", [True, False])
def test_of_many_takers_one_wins(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(leasing.os, "link", no_links)
    found, ready = [], threading.Barrier(16)

    def take():
        leases = Leases(tmp_path)
        ready.wait()
        found.append(leases.acquire("a"))

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [f for f in found if isinstance(f, Lease)]
    assert len(won) == 1
    won[0].close()


def test_of_many_who_take_over_one_wins(tmp_path, clock, strangers):
    dead = Leases(tmp_path, 10).acquire("a")
    dead._end.set()
    watchers = [Leases(tmp_path, 10) for _ in range(8)]
    assert all(isinstance(w.acquire("a"), Holder) for w in watchers)
    clock[0] += 11
    found, ready = [], threading.Barrier(8)

    def take(watcher):
        ready.wait()
        found.append(watcher.acquire("a"))

    threads = [threading.Thread(target=take, args=(w,)) for w in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [f for f in found if isinstance(f, Lease)]
    assert len(won) == 1
    assert won[0].generation == 2
    with pytest.raises(LeaseLostError, match="was taken over"):
        dead.check()
    dead.close()
    won[0].check()
    won[0].close()
    assert names(tmp_path) == []


def test_a_holder_that_wakes_up_after_the_next_one_is_done_is_still_fenced(tmp_path, clock, strangers):
    old, watcher = Leases(tmp_path, 10).acquire("a"), Leases(tmp_path, 10)
    old._end.set()
    watcher.held("a")
    clock[0] += 11
    watcher.acquire("a").close()
    newest = Leases(tmp_path).acquire("a")
    assert newest.generation == old.generation
    with pytest.raises(LeaseLostError):
        old.check()
    old.close()
    newest.check()
    newest.close()


@pytest.mark.parametrize("skew", [-1e6, 0, 1e6])
def test_only_the_observers_own_clock_counts(tmp_path, clock, strangers, skew):
    held, watcher = Leases(tmp_path, 10).acquire("a"), Leases(tmp_path, 10)
    held._end.set()
    for beat in range(5):
        os.utime(held.path, (time.time() + skew + beat,) * 2)
        assert watcher.held("a")
        clock[0] += 9
    assert watcher.held("a")
    clock[0] += 11
    assert watcher.held("a") is None
    held.close()


def test_the_heartbeat_moves_the_file(tmp_path):
    held = Leases(tmp_path, 0.12).acquire("a")
    before = held.path.stat().st_mtime_ns
    deadline = time.monotonic() + 10
    while held.path.stat().st_mtime_ns == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert held.path.stat().st_mtime_ns > before
    held.close()


def test_a_write_that_fails_because_of_a_takeover_is_no_storage_error(tmp_path, clock, strangers):
    old, watcher = Leases(tmp_path, 10).acquire("a"), Leases(tmp_path, 10)
    with pytest.raises(StorageError), Leases(tmp_path).acquire("b"):
        raise StorageError("the disk is full")
    old._end.set()
    watcher.held("a")
    clock[0] += 11
    with watcher.acquire("a"), pytest.raises(LeaseLostError), old:
        raise StorageError("its draft was tidied away")
    assert names(tmp_path) == []


def test_an_observer_may_believe_another_until_the_holder_moves(tmp_path, strangers):
    held, newcomer = Leases(tmp_path, 10).acquire("a"), Leases(tmp_path, 10)
    os.utime(held.path, (0, 0))
    stale = newcomer.holder("a")
    os.utime(held.path, (1, 1))
    newcomer.mark_abandoned(stale)
    assert isinstance(newcomer.acquire("a"), Holder)
    newcomer.mark_abandoned(newcomer.holder("a"))
    newcomer.acquire("a").close()
    held.close()


HOLD = """
import sys, time; from pathlib import Path
from quantdg.bench.cells.lease import Leases
lease = Leases(Path(sys.argv[1])).acquire("a"); print("held", flush=True); time.sleep(600)
"""


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert isinstance(Leases(tmp_path).acquire("a"), Holder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lease = Leases(tmp_path).acquire("a")
    assert lease.generation == 2
    lease.close()


def test_a_process_number_used_again_is_somebody_else():
    mine = current_process()
    assert not is_dead(mine)
    assert is_dead(Identity(mine.host, mine.pid, mine.started - 1, mine.boot, mine.namespace))
    assert not is_dead(Identity(mine.host, mine.pid, 0, "another boot", mine.namespace))
    assert not is_dead(Identity(mine.host, mine.pid, 0, mine.boot, "another namespace"))


def test_an_earlier_attempt_of_the_same_cluster_job_is_over(monkeypatch):
    before = Identity("elsewhere", 1, 1, "boot", "ns", "77", 0)
    assert not is_dead(before)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert not is_dead(before)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert is_dead(before)
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    assert not is_dead(before)


def test_a_zombie_is_dead():
    process = subprocess.Popen(["sleep", "600"])
    mine, started = current_process(), Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    identity = Identity(mine.host, process.pid, int(started), mine.boot, mine.namespace)
    assert not is_dead(identity)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}").exists()
    assert is_dead(identity)
    process.wait()


def test_an_unreadable_lease_is_respected_until_it_stands_still(tmp_path, clock):
    (tmp_path / "a.lease.3").write_text("{torn")
    watcher = Leases(tmp_path, 10)
    assert str(watcher.acquire("a")) == "an unknown process"
    clock[0] += 11
    lease = watcher.acquire("a")
    assert lease.generation == 4
    assert json.loads(lease.path.read_text())["pid"] == os.getpid()
    lease.close()
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*work .*run the same command again"):
        Leases(tmp_path / "file" / "work").acquire("a")
