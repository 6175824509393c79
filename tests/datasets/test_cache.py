"""The image cache: built once, by whoever comes first, and never seen half-done."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantdg.core.errors import DataError
from quantdg.datasets import cache as module
from quantdg.datasets import cache_check
from quantdg.datasets.folder import load_folder

LOAD = """
import sys, time
from pathlib import Path
from quantdg.core.errors import DataError
from quantdg.datasets.folder import load_folder
root, cache, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if mode == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
def progress(done, total):
    if mode == "slow" and done == 3:
        print("half", flush=True)
        time.sleep(60)
try:
    print(load_folder("toy", root=root, cache_dir=cache, size=32, progress=progress).fingerprint)
except DataError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for domain in "ab":
        folder = tmp_path / "source" / domain / "cat"
        folder.mkdir(parents=True)
        for k in range(6):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "source"


def run(source: Path, cache: Path, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOAD, str(source), str(cache), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def folders(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.iterdir())


def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one entry whenever a build decodes images."""
    calls: list[int] = []
    original = module.decode_all

    def counting(read: object, count: int, size: int, workers: int | None) -> object:
        calls.append(count)
        return original(read, count, size, workers)

    monkeypatch.setattr(module, "decode_all", counting)
    return calls


def test_second_load_decodes_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = decodes(monkeypatch)
    first = load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
    again = load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
    assert calls == [12]
    assert np.array_equal(first.domains[1].images, again.domains[1].images)
    load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=16)
    assert calls == [12, 12]


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/b", "..", "x" * 300, "\x1b[2J", ".hidden"])
def test_no_name_of_a_data_set_leads_out_of_the_cache(source: Path, tmp_path: Path, name: str) -> None:
    """A record of a stranger names its data set."""
    cache = tmp_path / "made" / "cache"
    load_folder(name.replace("/outside", f"{tmp_path}/outside"), root=source, cache_dir=cache, size=8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "source"]
    assert folders(cache.parent) == ["cache"]
    (folder,) = folders(cache)
    assert not folder.startswith(".")
    assert folder.isprintable()


@pytest.mark.parametrize("change", ["content", "new", "gone", "touched"])
def test_rebuilt_when_the_source_changes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
    calls = decodes(monkeypatch)
    victim = source / "a" / "cat" / "3.png"
    if change == "content":
        Image.new("RGB", (8, 8), "red").save(victim)
    elif change == "new":
        Image.new("RGB", (8, 8), "red").save(victim.with_name("9.png"))
    elif change == "gone":
        victim.unlink()
    else:
        os.utime(victim, (5, 5))
    data = load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
    assert calls == [{"new": 13, "gone": 11}.get(change, 12)]
    direct = load_folder("toy", root=source, cache_dir=None, size=32)
    assert np.array_equal(data.domains[0].images, direct.domains[0].images)


@pytest.mark.parametrize("damage", ["short", "long", "meta", "no meta", "other count"])
def test_damaged_cache_is_rebuilt(source: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    wanted = load_folder("toy", root=source, cache_dir=cache, size=32)
    (folder,) = cache.iterdir()
    meta = folder / "meta.json"
    if damage == "short":
        os.truncate(folder / "images.u8", 100)
    elif damage == "long":
        os.truncate(folder / "images.u8", 10**6)
    elif damage == "meta":
        meta.write_text("{")
    elif damage == "no meta":
        meta.unlink()
    else:
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"count": 3}))
    again = load_folder("toy", root=source, cache_dir=cache, size=32)
    direct = load_folder("toy", root=source, cache_dir=None, size=32)
    assert again.fingerprint == wanted.fingerprint
    assert np.array_equal(again.domains[1].images, direct.domains[1].images)
    assert folders(cache) == [folder.name]


def test_killed_build_leaves_nothing_bad(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = run(source, cache, "slow")
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [name[:7] for name in folders(cache)] == [".build-"]
    data = load_folder("toy", root=source, cache_dir=cache, size=32)
    direct = load_folder("toy", root=source, cache_dir=None, size=32)
    assert np.array_equal(data.domains[1].images, direct.domains[1].images)
    assert [name[:4] for name in folders(cache)] == ["toy-"]


def test_builds_of_the_living_are_not_swept(source: Path, tmp_path: Path) -> None:
    host = socket.gethostname().replace("-", "_")
    mine = tmp_path / "cache" / f".build-{host}-{os.getpid()}-00000000"
    foreign = tmp_path / "cache" / ".build-another_machine-1-00000000"
    mine.mkdir(parents=True)
    foreign.mkdir()
    load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
    assert mine.is_dir()
    assert foreign.is_dir()


def test_two_builders_at_once(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    builders = [run(source, cache, "plain") for _ in range(2)]
    prints = [builder.communicate(timeout=120) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], prints
    assert prints[0][0] == prints[1][0]
    assert len(folders(cache)) == 1


def test_the_slower_builder_takes_the_first_result(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    finished: list[str] = []

    def overtake(done: int, total: int) -> None:
        if done == 6:
            finished.append(load_folder("toy", root=source, cache_dir=cache, size=32).fingerprint)

    slow = load_folder("toy", root=source, cache_dir=cache, size=32, progress=overtake)
    assert finished == [slow.fingerprint]
    assert [name[:4] for name in folders(cache)] == ["toy-"]


def test_full_disk(source: Path, tmp_path: Path) -> None:
    """A file-size limit stands in for a full disk: write fails half-way with an OSError."""
    cache = tmp_path / "cache"
    process = run(source, cache, "full")
    _, message = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot write the image cache" in message
    assert "free some space" in message
    assert folders(cache) == []
    assert len(load_folder("toy", root=source, cache_dir=cache, size=32).domains) == 2


def test_cache_folder_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the image cache .* set data\.cache"):
        load_folder("toy", root=source, cache_dir=tmp_path / "file" / "cache", size=32)


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["first pixel", "last pixel", "fingerprint", "of before 0.4"])
def test_a_cache_with_other_pixels_is_told_and_built_again(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    cache = tmp_path / "cache"
    whole = load_folder("toy", root=source, cache_dir=cache, size=32)
    pixels = [domain.images.copy() for domain in whole.domains]
    (folder,) = cache.iterdir()
    meta = folder / "meta.json"
    if damage in ("first pixel", "last pixel"):
        _flip(folder / "images.u8", 0 if damage == "first pixel" else -1)
    else:
        (folder / "checked.json").unlink()
        said = json.loads(meta.read_text())
        meta.write_text(json.dumps(said | ({"fingerprint": "0" * 16} if damage == "fingerprint" else {"checksum": ""})))
    assert caplog.messages == []
    again = load_folder("toy", root=source, cache_dir=cache, size=32)
    assert caplog.messages == [f"quantdg: the image cache {folder} is not what was written there; built again"]
    assert again.fingerprint == whole.fingerprint
    assert all(np.array_equal(a, domain.images) for a, domain in zip(pixels, again.domains, strict=True))
    load_folder("toy", root=source, cache_dir=cache, size=32)
    assert len(caplog.messages) == 1


def test_a_cache_is_checked_once_an_hour_and_when_it_was_touched(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    whole = cache_check.pixel_checksum

    def noted(images: np.ndarray, said: str) -> str:
        checked.append(len(images))
        return whole(images, said)

    monkeypatch.setattr(module, "pixel_checksum", noted)

    def load() -> int:
        load_folder("toy", root=source, cache_dir=tmp_path / "cache", size=32)
        return len(checked)

    assert (load(), load()) == (0, 0)
    (folder,) = (tmp_path / "cache").iterdir()
    os.utime(folder / "images.u8")
    assert (load(), load()) == (1, 1)
    stamp = folder / "checked.json"
    os.utime(stamp, (stamp.stat().st_mtime - cache_check.CHECK_SECONDS - 1,) * 2)
    assert (load(), load()) == (2, 2)
    stamp.write_text("[" * 10**5)
    assert (load(), load()) == (3, 3)
