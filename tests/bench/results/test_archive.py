"""Records in one file: what comes out is what went in, and a stranger's archive writes nothing but records."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quantdg.bench.results.archive import FILE, archive_of, run_folder
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import Labels, Record, Row
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.verdict_rules import Rules, fix_rules, read_rules
from quantdg.core.errors import RecordError

KEYS = [16 * "a", 16 * "b"]
LABELS = Labels("pacs", "art", 0, "erm", "lsq", "W7", "cnn", "small")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run folder with a result, a failure with its traceback, rules, and a model."""
    store = RunStore(tmp_path / "runs", create=True)
    store.write(Record(KEYS[0], "done", LABELS, {"seed": 0}, rows={"iid": Row(9, 0.5, 0.5, {"photo": 0.9}, 0.3, "")}))
    log = store.write_log(KEYS[1], "Traceback\nValueError: é\n")
    store.write(Record(KEYS[1], "failed", replace(LABELS, seed=1), {"seed": 1}, reason="ValueError: é", log=log))
    fix_rules(store.root, Rules(alpha=0.1))
    for name in ("models", "float", "work"):
        (store.root / name).mkdir(exist_ok=True)
        (store.root / name / f"{KEYS[0]}.safetensors").write_bytes(b"large")
    return store.root


def published(root: Path, folder: Path) -> Path:
    """A folder that holds the archive of a run folder."""
    folder.mkdir()
    (folder / FILE).write_bytes(archive_of(root))
    return folder


def texts(root: Path) -> dict[str, bytes]:
    """All files of a run folder that are text, by their name."""
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and p.suffix != ".safetensors"
    }


def test_records_come_out_as_they_went_in_and_models_stay_behind(root: Path, tmp_path: Path) -> None:
    folder = published(root, tmp_path / "published")
    for given in (folder, folder / FILE):
        with run_folder(given) as found:
            assert {p.relative_to(found).as_posix(): p.read_bytes() for p in found.rglob("*") if p.is_file()} == texts(
                root
            )
        assert not found.exists()
    with run_folder(root) as found:
        assert found == root


def test_equal_folders_give_equal_archives_that_any_tar_unpacks(root: Path) -> None:
    data = archive_of(root)
    for path in root.rglob("*.json"):
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert archive_of(root) == data
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as tar:
        assert tar.getnames() == [
            "run.json",
            "verdict.json",
            *(f"cells/{key}.json" for key in KEYS),
            f"log/{KEYS[1]}.txt",
        ]
        assert {entry.mtime for entry in tar} == {0}


def test_what_cannot_be_packed_is_said(root: Path) -> None:
    (root / "cells" / "odd name.json").write_text("{}")
    with pytest.raises(RecordError, match=r"odd name.json has a name that no run gives; remove it"):
        archive_of(root)
    (root / "cells" / "odd name.json").unlink()
    (root / "cells" / f"{16 * 'c'}.json").symlink_to(root / "run.json")
    with pytest.raises(RecordError, match="must be a regular file, not a link"):
        archive_of(root)


def entry(name: str, **change: object) -> tarfile.TarInfo:
    """A tar entry of three bytes."""
    made = tarfile.TarInfo(name)
    made.size = 3
    for attribute, value in change.items():
        setattr(made, attribute, value)
    return made


HOSTILE = [
    entry("../victim.json"),
    entry("/tmp/victim.json"),
    entry("cells/../../victim.json"),
    entry("cells/.hidden.json"),
    entry("cells/a/b.json"),
    entry("models/aaaaaaaaaaaaaaaa.safetensors"),
    entry("cells/victim.sh"),
    entry("cells/a.json", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    entry("cells/a.json", type=tarfile.LNKTYPE, linkname="run.json", size=0),
    entry("cells/a.json", type=tarfile.FIFOTYPE, size=0),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda e: f"{e.name}-{e.type!r}")
def test_nothing_but_records_leaves_an_archive(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.addfile(hostile, io.BytesIO(b"abc"))
    (tmp_path / FILE).write_bytes(lzma.compress(raw.getvalue()))
    with pytest.raises(RecordError, match="which is no file of a run; do not use it"), run_folder(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def flipped(data: bytes) -> bytes:
    """The archive with one bit in its middle turned."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-9], lambda d: d[: len(d) // 2], flipped, lambda _: b"", lambda _: b"x" * 99]
)
def test_a_damaged_archive_is_refused(root: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = published(root, tmp_path / "published")
    (folder / FILE).write_bytes(damage(archive_of(root)))
    with pytest.raises(RecordError, match=r"records.tar.xz is damaged .*; take another copy"), run_folder(folder):
        pass


def test_an_archive_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    folder = published(root, tmp_path / "published")
    monkeypatch.setattr("quantdg.bench.results.archive.MOST", 100)
    with pytest.raises(RecordError, match="holds more than 100 bytes"), run_folder(folder):
        pass


def test_a_run_goes_on_from_published_records(root: Path, tmp_path: Path) -> None:
    folder = published(root, tmp_path / "published")
    for create in (False, True):
        with pytest.raises(
            RecordError, match=f"quantdg merge {folder} --out RUNS makes one of the records published there"
        ):
            RunStore(folder, create)
    merged = merge_runs([folder], tmp_path / "again")
    assert (merged.copied, merged.conflicts, merged.skipped) == (2, [], [])
    assert texts(tmp_path / "again") == texts(root)
    assert read_rules(tmp_path / "again") == Rules(alpha=0.1)
    assert merge_runs([folder / FILE], tmp_path / "again").same == 2


def test_a_conflict_names_the_published_folder(root: Path, tmp_path: Path) -> None:
    folder = published(root, tmp_path / "published")
    other = RunStore(tmp_path / "other", create=True)
    other.write(replace(RunStore(root).load(KEYS[0]), target_count=8))
    merged = merge_runs([other.root, folder], tmp_path / "all")
    assert len(merged.conflicts) == 1 and f"of {folder}: " in merged.conflicts[0]
