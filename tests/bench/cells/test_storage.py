"""A folder that cannot be written, first results, and what is left behind."""

import errno
import json
import os
import resource
from dataclasses import asdict

import pytest

from quantdg.bench.cells import cleanup
from quantdg.bench.cells.lease import Leases
from quantdg.bench.cells.process import current_process
from quantdg.bench.results import files
from quantdg.bench.results.files import StorageError, write_atomic, write_first
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.sweep.rerun import RerunPolicy


def test_the_first_result_wins(tmp_path):
    path = tmp_path / "cells" / "a.json"
    assert write_first(path, "one")
    assert not write_first(path, "two")
    assert path.read_text() == "one"
    assert os.listdir(path.parent) == ["a.json"]


def test_without_hard_links_the_first_result_still_wins(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(files.os, "link", no_links)
    test_the_first_result_wins(tmp_path)


@pytest.mark.parametrize("write", [write_atomic, write_first])
@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "make the folder writable"), (errno.EIO, "repair")],
)
def test_a_write_that_fails_leaves_nothing_and_says_what_to_do(tmp_path, monkeypatch, write, code, advice):
    def full(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=f"{os.strerror(code)}.*{advice}.*run the same command again"):
        write(tmp_path / "a.json", "text")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_sweep_in_a_line_and_the_folder_goes_on(drivers, tmp_path, monkeypatch):
    """The kernel itself refuses: files above 60 kB cannot be written, the float phase is larger.

    A measurement of coverage would want to write as well, and is left out of these processes.
    """
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    words = ("quantizer=[float,lsq]", "seeds=1", "model.width=32")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        driver = drivers.start(*words, jobs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert driver.wait(180) == 1
    text = drivers.output(driver)
    assert "quantdg: error: cannot write to" in text, text
    assert "File too large" in text
    assert "Traceback" not in text
    assert not list((tmp_path / "runs").glob("*/.*.tmp"))
    again = drivers.start(*words, jobs=1)
    assert again.wait(180) == 0, drivers.output(again)
    assert "2 done" in drivers.output(again)


def test_a_folder_that_refuses_records_stops_the_run_not_the_cell(quick):
    experiment = quick("quantizer=[float]")
    RunStore(experiment.paths.out, create=True)
    (experiment.paths.out / "cells").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write to"):
        session.run_experiment(experiment)
    (experiment.paths.out / "cells").unlink()
    assert session.run_experiment(experiment) == 0


def test_drafts_of_killed_writers_go_once_they_are_old(quick):
    experiment = quick("quantizer=[float]")
    root = RunStore(experiment.paths.out, create=True).root
    (root / "cells").mkdir()
    old, new = root / "cells" / ".a.json.x.tmp", root / "cells" / ".b.json.y.tmp"
    for draft, age in ((old, cleanup.DRAFT_SECONDS + 60), (new, 60)):
        draft.write_text("{")
        now = draft.stat().st_mtime
        os.utime(draft, (now - age, now - age))
    session.run_experiment(experiment)
    assert not old.exists()
    assert new.exists()


def test_what_a_killed_process_left_beside_a_result_goes(quick):
    """It died between storing its record and giving back its lease."""
    experiment = quick("quantizer=[float]")
    session.run_experiment(experiment)
    runs = RunStore(experiment.paths.out)
    key, group = (next((runs.root / folder).iterdir()).stem for folder in ("cells", "float"))
    for name in (key, group, "unfinished"):
        runs.snapshot_path(name).write_text("")
        (runs.work / f".{name}.safetensors.x.tmp").write_text("")
    (runs.root / "cells" / f".{key}.json.x.tmp").write_text("")
    dead = {**asdict(current_process()), "started": 0, "owner": "x"}
    (runs.work / f"{key}.lease.3").write_text(json.dumps(dead))
    with Leases(runs.work).acquire(group):
        cleanup.remove_leftovers(runs)
        assert runs.snapshot_path(group).exists(), "somebody works on it"
    cleanup.remove_leftovers(runs)
    assert sorted(p.name for p in runs.work.iterdir()) == [".unfinished.safetensors.x.tmp", "unfinished.safetensors"]
    assert [p.name for p in (runs.root / "cells").iterdir()] == [f"{key}.json"]


def test_overwrite_always_trains_the_float_phase_again_too(quick):
    experiment = quick("quantizer=[float,lsq]")
    session.run_experiment(experiment)
    kept = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (experiment.paths.out / "float").iterdir()}
    before = {r.key: r.rows for r in RunStore(experiment.paths.out).records() if isinstance(r, Record)}
    session.run_experiment(experiment, policy=RerunPolicy(force=("*lsq*",)))
    assert all(p.stat().st_mtime_ns == modified for p, (modified, _) in kept.items())
    session.run_experiment(experiment, policy=RerunPolicy(overwrite="always"))
    assert all(p.stat().st_mtime_ns > modified for p, (modified, _) in kept.items())
    assert all(p.read_bytes() == data for p, (_, data) in kept.items())
    assert before == {r.key: r.rows for r in RunStore(experiment.paths.out).records() if isinstance(r, Record)}
