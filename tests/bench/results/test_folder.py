"""A run folder from a stranger: nothing leads outside, odd files stop nothing, and what counts as done has numbers."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from quantdg.bench.results.deployment import Deployment, deployments, write_deployment
from quantdg.bench.results.folder import inside
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import Labels, Record, Row, Sizes
from quantdg.bench.results.store import RunStore, Unreadable
from quantdg.bench.results.summary import DAMAGED, scan
from quantdg.core.errors import QuantDGError, RecordError
from quantdg.reports.frames.results import load

A, B = 16 * "a", 16 * "b"
LABELS = Labels("pacs", "art", 0, "erm", "lsq", "W7", "cnn", "small")


def record(key: str = A, seed: int = 0) -> Record:
    """A whole record with a model."""
    row = Row(9, 0.5, 0.5, {"photo": 0.9}, 0.3, "")
    return Record(
        key,
        "done",
        replace(LABELS, seed=seed),
        {"seed": seed, "target": "art", "protocol": {"steps": 9, "start_step": 3}},
        rows={"iid": row},
        sizes=Sizes(9, 5, 3, 1, 1, f"models/{key}.safetensors"),
    )


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A run folder with two cells."""
    made = RunStore(tmp_path / "runs", create=True)
    for seed, key in enumerate((A, B)):
        made.write(record(key, seed))
    return made


def changed(change: dict[str, Any]) -> str:
    """The text of the first record with other fields."""
    return json.dumps(json.loads(record().to_json()) | change)


SIZES = json.loads(record().to_json())["sizes"]
OUTSIDE = ["../../victim", "/tmp/victim", "cells/../../victim", "models/../run.json", "a\\..\\b", "models/a\0b", ""]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="must lie in that folder"):
        inside(tmp_path, name if name != "models/../run.json" else "models/../../run.json")


@pytest.mark.parametrize("key", ["../../victim", "/tmp/victim", "", "A" * 16, "a" * 15, "a" * 17, "a" * 15 + "\n"])
def test_a_key_is_hexadecimal(store: RunStore, key: str) -> None:
    with pytest.raises(RecordError, match="must have a key of 16 hexadecimal digits"):
        Record.from_json(changed({"key": key}))
    (store.root / "deploy").mkdir()
    made = Deployment(A, LABELS, "openvino", "failed")
    (store.root / "deploy" / f"{A}-openvino.json").write_text(json.dumps(json.loads(made.to_json()) | {"key": key}))
    (found,) = deployments(store.root)
    assert isinstance(found, Unreadable)


@pytest.mark.parametrize("path", [*OUTSIDE[:-1], f"models/{B}.safetensors", "run.json"])
def test_a_record_names_no_model_but_its_own(tmp_path: Path, store: RunStore, path: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("secret")
    store.cell_path(A).write_text(changed({"sizes": {**SIZES, "path": path}}))
    merged = merge_runs([store.root], tmp_path / "out")
    assert (merged.copied, len(merged.skipped)) == (1, 1)
    assert "must have its model at" in merged.text()
    assert not any("secret" in p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert victim.read_text() == "secret"


def test_a_runtime_is_no_path(store: RunStore) -> None:
    with pytest.raises(RecordError, match="must lie in that folder"):
        write_deployment(store.root, Deployment(A, LABELS, "x/../../../victim", "failed"))


@pytest.mark.parametrize("place", ["cells", "models", "float", "deploy"])
def test_links_are_neither_followed_nor_copied(tmp_path: Path, store: RunStore, place: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    name = {"cells": f"{A}.json", "models": f"{A}.safetensors"}.get(place, "0.safetensors")
    (store.root / place).mkdir(exist_ok=True)
    path = store.root / place / name
    path.unlink(missing_ok=True)
    path.symlink_to(secret)
    merged = merge_runs([store.root], tmp_path / "out")
    assert "must be a regular file, not a link" in merged.text()
    assert not any(p.is_symlink() or b"secret" in p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())


@pytest.mark.parametrize("place", ["cells", "models", "work", "deploy", "latency"])
def test_a_folder_that_is_a_link_is_not_written_to(tmp_path: Path, store: RunStore, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (store.root / place).rename(elsewhere) if place == "cells" else elsewhere.mkdir()
    (store.root / place).symlink_to(elsewhere)
    before = sorted(p.name for p in elsewhere.iterdir())
    uses: dict[str, Callable[[], object]] = {
        "cells": lambda: store.write(record()),
        "models": lambda: store.model_path(record()),
        "work": lambda: store.work,
        "deploy": lambda: write_deployment(store.root, Deployment(A, LABELS, "openvino", "failed")),
        "latency": lambda: list(store.latencies()),
    }
    with pytest.raises(RecordError, match="must be a folder, not a link"):
        uses[place]()
    assert sorted(p.name for p in elsewhere.iterdir()) == before


def test_a_run_folder_may_itself_be_a_link(tmp_path: Path, store: RunStore) -> None:
    (tmp_path / "link").symlink_to(store.root)
    assert RunStore(tmp_path / "link").read(A) == record()


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


ODD: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_text(
        '{"schema": 2, "status": "done", "plan": ' + "[" * 10**5 + "]" * 10**5 + "}"
    ),
    "nested settings": lambda path: path.write_text(changed({"settings": json.loads('{"a":' * 400 + "1" + "}" * 400)})),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket": _socket,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "not UTF-8": lambda path: path.write_bytes(record().to_json().encode() + b"\xff"),
    "NaN": lambda path: path.write_text(changed({"timings": {"total_s": float("nan")}})),
    "huge number": lambda path: path.write_text(record().to_json().replace("0.5", "1e999", 1)),
    "rows of a wrong type": lambda path: path.write_text(changed({"rows": {"iid": 3}})),
    "settings of a wrong type": lambda path: path.write_text(changed({"settings": [1]})),
    "done without a row": lambda path: path.write_text(changed({"rows": {}})),
    "an accuracy of 50": lambda path: path.write_text(
        record().to_json().replace('"target_in": 0.5', '"target_in": 50')
    ),
    "another key": lambda path: path.write_text(record(B).to_json()),
    "an unknown role": lambda path: path.write_text(changed({"role": "king"})),
    "a field too many": lambda path: path.write_text(changed({"surprise": 1})),
    "not readable": lambda path: (path.write_text(record().to_json()), path.chmod(0)),
    "empty": lambda path: path.write_text(""),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("odd", sorted(ODD))
def test_an_odd_record_stops_nothing_and_what_is_done_has_numbers(tmp_path: Path, store: RunStore, odd: str) -> None:
    path = store.cell_path(A)
    path.unlink()
    ODD[odd](path)
    if odd == "not readable" and os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    done = {summary.key for summary in scan(store) if summary.state == "done"}
    results = load(store.root)
    assert set(results.cells[results.cells["status"] == "done"]["key"]) == done
    assert B in done
    assert (store.read(A) is not None) == (A in done)
    if A not in done:
        assert [s.key for s in scan(store) if s.state == DAMAGED] == [A]
        assert [name for name, _ in results.problems] == [f"cells/{A}.json"]
        store.delete(A)
        assert store.write_first(record())
        assert store.read(A) == record()
    merged = merge_runs([store.root], tmp_path / "out")
    assert merged.copied + len(merged.skipped) == 2


def test_a_record_under_another_name_is_damaged_for_everybody(store: RunStore) -> None:
    store.cell_path(A).rename(store.root / "cells" / "notes.json")
    assert {s.key: s.state for s in scan(store)} == {"notes": DAMAGED, B: "done"}
    (problem,) = load(store.root).problems
    assert problem == (
        "cells/notes.json",
        f"cells/notes.json must be the record of notes, it is that of {A}; run the cell again",
    )


def _make(root: Path, ready: Barrier, failed: Any) -> None:
    ready.wait()
    try:
        RunStore(root, create=True)
    except QuantDGError as error:
        failed.put(str(error))


def test_of_many_drivers_that_make_one_folder_none_fails(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    failed = context.SimpleQueue()
    for turn in range(15):
        ready = context.Barrier(4)
        drivers = [context.Process(target=_make, args=(tmp_path / str(turn), ready, failed)) for _ in range(4)]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
        assert sorted(p.name for p in (tmp_path / str(turn)).iterdir()) == ["run.json"]
    assert failed.empty()


def test_what_a_killed_driver_has_left_of_the_marker_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / ".run.json.abc123.tmp").write_text("{")
    RunStore(tmp_path, create=True).write(record())
    assert RunStore(tmp_path).read(A) == record()


@pytest.mark.parametrize("odd", ["folder", "pipe", "dangling link", "empty"])
def test_an_odd_marker_is_refused_in_a_line(tmp_path: Path, odd: str) -> None:
    ODD[odd](tmp_path / "run.json")
    for create in (True, False):
        with pytest.raises(RecordError, match=r"run\.json cannot be read"):
            RunStore(tmp_path, create=create)
