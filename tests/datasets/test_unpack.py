"""Archives: complete or not at all, and never outside of the target."""

from __future__ import annotations

import gzip
import io
import shutil
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


def _tar(path: Path, *, mode: str = "w", **info: object) -> Path:
    with tarfile.open(path, mode) as tar:
        for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 700
            vars_of = info if name == "a/2.jpg" else {}
            for key, value in vars_of.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(name.encode() * 100))
    return path


def refused(archive: Path, said: str) -> None:
    """Assert that an archive is refused in one line, and leaves nothing."""
    before = sorted(archive.parent.iterdir())
    with pytest.raises(DataError, match=said) as caught:
        unpack(archive, archive.parent / "out")
    assert "\n" not in str(caught.value)
    assert sorted(archive.parent.iterdir()) == before


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_the_checksum_at_the_end_of_a_compressed_tar_is_looked_at(tmp_path: Path, ending: str) -> None:
    archive = _tar(tmp_path / f"a.tar.{ending}", mode=f"w:{ending}")
    whole = archive.read_bytes()
    for place in (-1, -5, -8) if ending == "gz" else (-2, -8, -12):
        changed = bytearray(whole)
        changed[place] ^= 1
        archive.write_bytes(changed)
        refused(archive, "is damaged|is neither")
    archive.write_bytes(whole[:-4])
    refused(archive, "is damaged")
    archive.write_bytes(whole)
    assert len(list(unpack(archive, tmp_path / "out").rglob("*.jpg"))) == 3


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_tar_that_loses_members_is_damaged(tmp_path: Path, ending: str) -> None:
    plain = _tar(tmp_path / "plain").read_bytes()
    pack = gzip.compress if ending else bytes
    archive = tmp_path / f"a.tar{ending}"
    for second in (1536, 2 * 1536):  # where a member begins
        archive.write_bytes(pack(plain[:second]))
        refused(archive, "breaks off")
        archive.write_bytes(pack(plain[: second + 10] + b"\xff" * 30 + plain[second + 40 :]))
        refused(archive, "breaks off, or a header in it cannot be read")
    archive.write_bytes(pack(plain + plain))
    refused(archive, "something follows its end")


@pytest.mark.parametrize("name", ["", ".", "./", "/".join(["a"] * 70)])
def test_an_entry_needs_a_name_that_makes_a_file(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("PACS/1.jpg", b"one")
        entry = zipfile.ZipInfo("x")
        entry.filename = name
        out.writestr(entry, b"two")
    refused(tmp_path / "a.zip", "has an entry of .* names|damaged")


def test_sparse_files_are_refused(tmp_path: Path) -> None:
    refused(_tar(tmp_path / "a.tar", type=tarfile.GNUTYPE_SPARSE), "sparse file|damaged")
    refused(_tar(tmp_path / "b.tar", pax_headers={"GNU.sparse.size": "9", "GNU.sparse.map": "x,y"}), "sparse|damaged")
    refused(
        _tar(tmp_path / "c.tar", pax_headers={"GNU.sparse.map": "0,9", "GNU.sparse.size": "9" * 30}), "sparse|damaged"
    )


def test_a_file_and_a_folder_of_one_name_are_damage(tmp_path: Path) -> None:
    refused(make(tmp_path / "a.zip", {"a": b"x", "a/b": b"y"}), "is damaged")
    refused(make(tmp_path / "b.zip", {"a/b": b"y", "a": b"x"}), "is damaged")
    refused(make(tmp_path / "c.zip", {"a" * 300: b"y"}), "is damaged: File name too long")


def test_the_size_is_bounded_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2000))
    for name in ("a.zip", "a.tar", "a.tar.gz"):
        refused(make(tmp_path / name, {"x": bytes(1000), "y": bytes(1000)}), "unpacks to .* GiB or more, .* are free")
        assert unpack(make(tmp_path / name, {"x": bytes(1000)}), tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        (tmp_path / name).unlink()


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "a.tar").write_bytes(member.tobuf() + bytes(2048))
    refused(tmp_path / "a.tar", "damaged|neither")
