"""Files in the place of leases that are none: nobody waits for them, hangs on them or loses a lease to them."""

import json
import os
import time

import pytest

from quantdg.bench.cells import lease as leasing
from quantdg.bench.cells.lease import Lease, LeaseLostError, Leases
from quantdg.bench.cells.lease_file import MOST, odd_leases
from quantdg.bench.cells.process import Identity

ODD = {
    "folder": lambda path: path.mkdir(),
    "full folder": lambda path: (path / "inside").mkdir(parents=True),
    "pipe": os.mkfifo,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("generation", [1, 2, 3, MOST])
def test_what_is_no_regular_file_is_no_lease(tmp_path, odd, generation):
    path = tmp_path / f"a.lease.{generation}"
    ODD[odd](path)
    lease = Leases(tmp_path).acquire("a")
    assert isinstance(lease, Lease)
    lease.check()
    lease.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert odd_leases(tmp_path) == [f"{path} is ignored: a lease is a regular file"]


@pytest.mark.parametrize("name", ["a.lease.1" + 22 * "0", "a.lease.-1", "a.lease.0", "a.lease.\u0663", "a.lease.x"])
def test_a_number_that_no_process_reaches_is_no_lease(tmp_path, name):
    (tmp_path / name).write_text("{}")
    began = time.monotonic()
    Leases(tmp_path).acquire("a").close()
    assert time.monotonic() - began < 5
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert odd_leases(tmp_path) == [
        f"{tmp_path / name} is ignored: the name of a lease ends in a number from 1 to {MOST}"
    ]


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[" * 10**5, b"[]", b'{"owner": 1}', b"NaN", b"x" * 10**6])
@pytest.mark.parametrize("generation", [3, MOST])
def test_one_that_says_nothing_is_respected_until_it_stands_still(tmp_path, monkeypatch, text, generation):
    now = [1000.0]
    monkeypatch.setattr(leasing.time, "monotonic", lambda: now[0])
    (tmp_path / f"a.lease.{generation}").write_bytes(text)
    watcher = Leases(tmp_path, 10)
    assert str(watcher.acquire("a")) == "an unknown process"
    now[0] += 11
    watcher.acquire("a").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"pid": "../../x"}, {"pid": True}, {"attempt": "1"}, {"host": 3}, {"boot": None}])
def test_a_process_has_values_of_the_right_types(change):
    plain = {"host": "h", "pid": 1, "started": 1, "boot": "b", "namespace": "n", "job": "", "attempt": 0}
    assert Identity.parse(plain) == Identity(**plain)
    assert Identity.parse(plain | change) is None
    assert Identity.parse(json.loads("[" * 50 + "]" * 50)) is None


def test_the_fence_sees_a_taker_beyond_an_odd_file(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(leasing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(leasing, "is_dead", lambda _: False)
    old, watcher = Leases(tmp_path, 10).acquire("a"), Leases(tmp_path, 10)
    old._end.set()
    (tmp_path / "a.lease.2").mkdir()
    watcher.held("a")
    now[0] += 11
    taker = watcher.acquire("a")
    assert taker.generation == 3
    with pytest.raises(LeaseLostError):
        old.check()
    taker.check()
    old.close()
    taker.close()
