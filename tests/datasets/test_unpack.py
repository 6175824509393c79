"""Archives: complete or not at all, and never outside of the target."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from quantdg.core.errors import DataError
from quantdg.datasets.unpack import unpack

GOOD = {"PACS/photo/dog/1.jpg": b"one" * 5000, "PACS/photo/cat/2.jpg": b"two"}


def make(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.mkdir("PACS") if hasattr(out, "mkdir") else None
            for name, content in members.items():
                out.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_content(tmp_path: Path, name: str) -> None:
    target = unpack(make(tmp_path / name, GOOD), tmp_path / "out")
    got = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert got == GOOD
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "out"])


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("bad", ["../evil", "PACS/../../evil", "ABSOLUTE/evil", "..\\evil", "C:/evil"])
def test_no_path_leaves_the_target(tmp_path: Path, name: str, bad: str) -> None:
    archive = make(tmp_path / name, {**GOOD, bad.replace("ABSOLUTE", str(tmp_path)): b"x"})
    with pytest.raises(DataError, match="outside of its own folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*evil*"))
    assert list((tmp_path / "in").iterdir()) == []


def test_links_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(info)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(entry, "/etc")
    for name in ("a.tar", "a.zip"):
        with pytest.raises(DataError, match="a link"):
            unpack(tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_damaged_archive_leaves_nothing(tmp_path: Path, name: str) -> None:
    archive = make(tmp_path / name, {"x/big": bytes(range(256)) * 2000})
    content = bytearray(archive.read_bytes())
    if name == "a.zip":
        content[60:200] = b"\0" * 140
    else:
        del content[len(content) // 2 :]
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|neither"):
        unpack(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>quota exceeded</html>")
    with pytest.raises(DataError, match="neither a zip nor a tar"):
        unpack(tmp_path / "page.zip", tmp_path / "out")
    with pytest.raises(DataError, match="no archive"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="exists already"):
        unpack(make(tmp_path / "a.zip", GOOD), tmp_path / "out")
