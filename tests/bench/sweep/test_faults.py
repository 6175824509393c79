"""Sweeps whose processes are killed, stopped, doubled and starved end as if nothing had happened."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from quantdg.bench.cells.lease import Leases
from quantdg.quantizers.float_ import Float

GRID = (
    "dataset._target_=tests.bench.sweep.tiny.load",
    "seeds=2",
    "quantizer=[float,lsq,pact]",
    "averaging=[swad,swad_reference]",
)
PATIENT = {"jobs": 2, "checkpoint_seconds": 0.05, "lease_seconds": 6.0, "max_lost": 10**6}
DRIVERS = 0.03
"""Share of the kills that hit a driver: the next one needs seconds to start."""


class Slow(Float):
    """Notes in a file that a training begins, and takes its time."""

    def __init__(self, spec=None, *, log, pause, seed=0):
        super().__init__(spec, seed=seed)
        self.log, self.pause = log, pause

    def prepare(self, model, example):
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        return super().prepare(model, example)

    def on_step(self, model, step):
        time.sleep(self.pause)


def slow(tmp_path, name, pause):
    return f"+quantizer.{name}={{_target_: {__name__}.Slow, spec: null, log: {tmp_path / 'begun'}, pause: {pause}}}"


def training(drivers, folder):
    """The living processes that hold a lease."""
    holders = {h.who.pid for h in Leases(folder / "work").newest().values() if h.who}
    return holders & set(drivers.processes(drivers=False))


def harm(drivers, driver, folder, rng):
    """Kill -9, now and then the driver or a helper, mostly a process that trains; tells which."""
    trainers = training(drivers, folder)
    others = [*drivers.processes(drivers=False), *8 * sorted(trainers)]
    victim = driver.pid if rng.random() < DRIVERS or not others else rng.choice(others)
    try:
        os.kill(victim, signal.SIGKILL)
    except OSError:
        return None
    return "driver" if victim == driver.pid else "trainer" if victim in trainers else "helper"


def seen(folder):
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (folder / "cells").glob("[!.]*.json")}


def assert_complete(folder, whole, results):
    assert results(folder) == whole
    assert [p.name for p in (folder / "work").iterdir()] == []
    assert not list(folder.glob("*/.*.tmp"))


def killed_sweep(drivers, folder, rng, kills):
    """Kill at random moments of training until a driver ends in peace; returns (victims, records as first seen)."""
    victims, first = Counter(), {}
    driver = drivers.start(*GRID, out=folder.name, **PATIENT)
    while driver.poll() != 0:
        first = {**seen(folder), **first}
        assert not any('"status": "failed"' in p.read_text() for p in (folder / "cells").glob("[!.]*.json"))
        if driver.poll() is not None:
            driver = drivers.start(*GRID, out=folder.name, **PATIENT)
        elif victims.total() < kills and training(drivers, folder):
            time.sleep(rng.uniform(0, 0.6))
            if driver.poll() is None and (victim := harm(drivers, driver, folder, rng)):
                victims[victim] += 1
        else:
            time.sleep(0.05)
    return victims, first


@pytest.fixture
def whole(drivers, tmp_path, results):
    """The same sweep in peace."""
    driver = drivers.start(*GRID, out="whole", jobs=0)
    assert driver.wait(300) == 0, drivers.output(driver)
    return results(tmp_path / "whole")


def test_a_few_kills_change_nothing(drivers, tmp_path, whole, results):
    victims, first = killed_sweep(drivers, tmp_path / "runs", random.Random(1), 3)
    assert victims.total() >= 1
    assert len(whole) == 6
    assert_complete(tmp_path / "runs", whole, results)
    assert first.items() <= seen(tmp_path / "runs").items()


@pytest.mark.slow
def test_two_hundred_kills_change_nothing(drivers, tmp_path, whole, results):
    rng, victims, sweeps, began = random.Random(2), Counter(), 0, time.monotonic()
    while victims.total() < 200:
        folder = tmp_path / f"runs{sweeps}"
        killed, first = killed_sweep(drivers, folder, rng, 200 - victims.total())
        victims, sweeps = victims + killed, sweeps + 1
        assert_complete(folder, whole, results)
        assert first.items() <= seen(folder).items()
        print(f"sweep {sweeps}: {dict(killed)}, {victims.total()} in all", flush=True)
    starts = len(drivers.started) - 1
    print(
        f"\n{victims.total()} kill -9 {dict(victims)} over {sweeps} sweeps of {len(whole)} cells ({starts} drivers) "
        f"in {time.monotonic() - began:.0f} s: 0 lost, 0 doubled, 0 differing"
    )


def test_one_process_serves_all_groups_in_turn(drivers, tmp_path):
    driver = drivers.start(slow(tmp_path, "s", 0), "quantizer=[]", "seeds=3", jobs=1)
    assert driver.wait(300) == 0, drivers.output(driver)
    begun = (tmp_path / "begun").read_text().split()
    assert (len(begun), len(set(begun))) == (3, 1)


def test_two_drivers_at_once_share_the_work_and_train_nothing_twice(drivers, tmp_path):
    words = [slow(tmp_path, f"s{i}", 0.02) for i in range(4)]
    pair = [drivers.start(*words, "quantizer=[]", "seeds=2", jobs=1) for _ in range(2)]
    for driver in pair:
        assert driver.wait(300) == 0, drivers.output(driver)
        assert "8 done" in drivers.output(driver)
    begun = (tmp_path / "begun").read_text().split()
    assert len(begun) == 8
    assert len(set(begun)) >= 2


@pytest.mark.slow
def test_a_stopped_driver_that_goes_on_writes_nothing_over_the_next_one(drivers, tmp_path, until):
    words = [slow(tmp_path, "s", 0.1), "quantizer=[]", "seeds=1"]
    first = drivers.start(*words, jobs=1, lease_seconds=2.0, checkpoint_seconds=0.2)
    until((tmp_path / "begun").exists)
    stopped = list(drivers.processes())
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    second = drivers.start(*words, jobs=1, lease_seconds=2.0)
    assert second.wait(120) == 0, drivers.output(second)
    stored = seen(tmp_path / "runs")
    assert len(stored) == 1
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert first.wait(120) == 0, drivers.output(first)
    assert seen(tmp_path / "runs") == stored
    assert len((tmp_path / "begun").read_text().split()) == 2
    assert not list((tmp_path / "runs" / "work").iterdir())


def test_a_process_that_stands_still_is_replaced_by_its_own_driver(drivers, tmp_path, until):
    words = [slow(tmp_path, "s", 0.05), "quantizer=[]", "seeds=1"]
    driver = drivers.start(*words, jobs=1, lease_seconds=2.0)
    until((tmp_path / "begun").exists)
    os.kill(int((tmp_path / "begun").read_text()), signal.SIGSTOP)
    assert driver.wait(120) == 0, drivers.output(driver)
    assert "1 done" in drivers.output(driver)


def test_a_whole_sweep_that_was_stopped_goes_on_in_the_same_processes(drivers, tmp_path, until):
    words = [slow(tmp_path, "s", 0.05), "quantizer=[]", "seeds=1"]
    driver = drivers.start(*words, jobs=1, lease_seconds=4.0)
    until((tmp_path / "begun").exists)
    others = list(drivers.processes(drivers=False))
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)  # the driver sees their last sign
    os.kill(driver.pid, signal.SIGSTOP)
    time.sleep(4.0)
    os.kill(driver.pid, signal.SIGCONT)
    time.sleep(1.0)  # it looks around before the others give another
    for pid in others:
        os.kill(pid, signal.SIGCONT)
    assert driver.wait(120) == 0, drivers.output(driver)
    assert len((tmp_path / "begun").read_text().split()) == 1


def test_the_processes_of_a_killed_driver_end_and_save(drivers, tmp_path, until):
    words = [slow(tmp_path, "s", 0.1), "quantizer=[]", "seeds=1"]
    driver = drivers.start(*words, jobs=1, checkpoint_seconds=1000)
    until((tmp_path / "begun").exists)
    driver.kill()
    driver.wait()
    until(lambda: not list(drivers.processes()), 30)
    assert [p.suffix for p in (tmp_path / "runs" / "work").iterdir()] == [".safetensors"]


@pytest.mark.slow
def test_ctrl_c_twice_ends_in_a_line_and_a_folder_that_goes_on(drivers, tmp_path, until):
    words = [slow(tmp_path, "s", 3.0), "quantizer=[float]", "seeds=1"]
    driver = drivers.start(*words, jobs=2)
    until((tmp_path / "begun").exists)
    os.kill(driver.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(15) == 130
    assert "Traceback" not in drivers.output(driver)
    until(lambda: not list(drivers.processes()), 30)
    again = drivers.start("quantizer=[float]", "seeds=1", jobs=1)
    assert again.wait(120) == 0, drivers.output(again)
    assert "1 done" in drivers.output(again)
