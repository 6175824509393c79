"""The run folder: whole files or none, tolerant reading, no folder taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantdg.bench.results.files import write_atomic
from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import Labels, Record, Row, Status
from quantdg.bench.results.store import RunStore, Unreadable
from quantdg.core.errors import RecordError

A, B, C, D = (16 * letter for letter in "abcd")


def record(key: str = A, status: Status = "done") -> Record:
    """A record with one row."""
    labels = Labels("pacs", "art", 0, "erm", "lsq", "W7", "cnn", "small")
    return Record(key, status, labels, {"seed": 0}, rows={"iid": Row(9, 0.5, 0.5, {"photo": 0.9}, 0.3, "")})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A new run folder."""
    return RunStore(tmp_path / "runs", create=True)


def test_written_records_are_read_in_file_order(store: RunStore) -> None:
    for key in (B, A, C):
        store.write(record(key))
    assert [r.key for r in store.records() if isinstance(r, Record)] == [A, B, C]
    assert store.read(B) == record(B)
    assert store.read(D) is None


def test_a_later_record_replaces_an_earlier_one(store: RunStore) -> None:
    store.write(record(status="failed"))
    store.write(record(status="done"))
    assert store.read(A) == record()
    assert [p.name for p in (store.root / "cells").iterdir()] == [f"{A}.json"]


def test_an_interrupted_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_atomic(path, "old")

    def interrupted(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_killed_writer_leaves_no_half_record(store: RunStore) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from quantdg.bench.results import files\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomic(pathlib.Path(sys.argv[1]), 'half')\n"
    )
    store.write(record(A))
    done = subprocess.run([sys.executable, "-c", code, str(store.cell_path(A))], check=False)
    assert done.returncode < 0
    assert list(store.records()) == [record(A)]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null"])
def test_a_damaged_record_is_reported_and_the_others_survive(store: RunStore, damage: bytes) -> None:
    for key in (A, B, C):
        store.write(record(key))
    store.cell_path(B).write_bytes(damage)
    first, second, third = store.records()
    assert (first, third) == (record(A), record(C))
    assert isinstance(second, Unreadable)
    assert second.path == store.cell_path(B)
    assert second.reason
    assert store.read(B) is None


def test_a_record_of_another_schema_is_reported(store: RunStore) -> None:
    store.write(record(A))
    raw = json.loads(store.cell_path(A).read_text())
    store.cell_path(A).write_text(json.dumps({**raw, "schema": 99}))
    (found,) = store.records()
    assert isinstance(found, Unreadable)
    assert "has schema 99" in found.reason


def test_a_folder_of_another_schema_is_refused(store: RunStore) -> None:
    (store.root / "run.json").write_text('{"schema": 99}')
    for create in (True, False):
        with pytest.raises(RecordError, match="was written with schema 99, this version reads 1 and 2; choose another"):
            RunStore(store.root, create=create)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_marker_is_refused(store: RunStore, text: str) -> None:
    (store.root / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"run.json cannot be read"):
        RunStore(store.root)


def test_a_foreign_folder_is_neither_used_nor_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RecordError, match="is not a run folder and not empty; choose another with out=FOLDER"):
        RunStore(tmp_path, create=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RecordError, match="is not a folder; choose another with out=FOLDER"):
        RunStore(tmp_path / "thesis.tex", create=True)


def test_an_empty_folder_may_become_one_and_is_recognised(tmp_path: Path) -> None:
    RunStore(tmp_path, create=True).write(record())
    assert RunStore(tmp_path).read(A) == record()


def test_a_missing_folder_is_refused_unless_created(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="give the folder of a quantdg run"):
        RunStore(tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_latency_of_one_kind_is_replaced_and_damage_reported(store: RunStore) -> None:
    def measured(ms: float, threads: int) -> Latency:
        labels = record().labels
        return Latency(A, labels, "torch eager", "float32", 1, threads, 32, ms, ms, ms, 5, 1.0, {})

    for latency in (measured(1.0, 1), measured(2.0, 1), measured(3.0, 2)):
        store.write_latency(latency)
    assert [x.median_ms for x in store.latencies() if isinstance(x, Latency)] == [2.0, 3.0]
    first, second = sorted((store.root / "latency").iterdir())
    first.write_text(second.read_text())
    copy, kept = store.latencies()
    assert isinstance(copy, Unreadable) and f"must be named {second.name!r}" in copy.reason
    assert isinstance(kept, Latency)
    first.write_text("{")
    assert [type(x) for x in store.latencies()] == [Unreadable, Latency]


def test_records_and_store_never_import_torch() -> None:
    code = "import sys, quantdg.bench.results.store; assert 'torch' not in sys.modules, 'torch was imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_results_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", create=True)
    plain = tmp_path / "plain"
    plain.touch()
    assert (store.root / "run.json").stat().st_mode == plain.stat().st_mode
