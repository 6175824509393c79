"""Downloads against a server on the loopback: resumed, checked, and never half in place."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from quantdg.core.errors import ConfigError, DataError, UnknownNameError
from quantdg.datasets import prepare as module
from quantdg.datasets.download import fetch
from quantdg.datasets.prepare import instructions, prepare
from quantdg.datasets.sources import IMAGE_SETS

CONTENT = bytes(range(256)) * 8000
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``content``; ``cut`` bytes of the body at most."""

    content, etag, cut = CONTENT, '"one"', 10**9
    kind, ranges = "application/octet-stream", True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.path != "/file.bin":
            self.send_error(404)
            return
        same = self.headers.get("If-Range") == self.server.etag
        start = int(wanted[6:-1]) if wanted and same and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}"
            )
        self.end_headers()
        self.wfile.write(body[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as instance:
        thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield instance
        instance.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_whole_file(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    target = fetch(server.url, tmp_path / "sub" / "f", SHA, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["f"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    fetch(server.url, target, SHA)
    assert server.asked == [None]


def test_broken_download_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cut = 700_000
    with pytest.raises(DataError, match="broke off after 700000 of 2048000"):
        fetch(server.url, tmp_path / "f", SHA)
    assert not (tmp_path / "f").exists()
    with pytest.raises(DataError, match="broke off after 1400000 of 2048000"):
        fetch(server.url, tmp_path / "f", SHA)
    assert fetch(server.url, tmp_path / "f", SHA).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=700000-", "bytes=1400000-"]
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("reason", ["changed", "no ranges", "no validator"])
def test_resume_never_mixes_two_files(server: Server, tmp_path: Path, reason: str) -> None:
    server.cut = 700_000
    if reason == "no validator":
        server.etag = ""
    with pytest.raises(DataError, match="broke off"):
        fetch(server.url, tmp_path / "f")
    server.cut = 10**9
    if reason == "changed":
        server.content, server.etag = CONTENT[::-1], '"two"'
    server.ranges = reason != "no ranges"
    assert fetch(server.url, tmp_path / "f").read_bytes() == server.content


def test_wrong_checksum(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected checksum md5:00"):
        fetch(server.url, tmp_path / "f", "md5:" + "00" * 16)
    assert "f" not in names(tmp_path)
    assert "f.part" not in names(tmp_path)


def test_damaged_target_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"short")
    assert fetch(server.url, tmp_path / "f", SHA).read_bytes() == CONTENT


@pytest.mark.parametrize(("kind", "body"), [("text/html", b"hi"), ("application/zip", b"\n<!DOCTYPE html><p>quota")])
def test_web_page_instead_of_a_file(server: Server, tmp_path: Path, kind: str, body: bytes) -> None:
    server.kind, server.content = kind, body
    with pytest.raises(DataError, match="web page"):
        fetch(server.url, tmp_path / "f")
    assert "f" not in names(tmp_path)
    server.kind, server.content = Server.kind, CONTENT
    assert fetch(server.url, tmp_path / "f", SHA).is_file()


def test_part_longer_than_the_file_starts_over(server: Server, tmp_path: Path) -> None:
    server.cut = 700_000
    with pytest.raises(DataError, match="broke off"):
        fetch(server.url, tmp_path / "f")
    server.cut, server.content = 10**9, CONTENT[:500_000]
    assert fetch(server.url, tmp_path / "f").read_bytes() == server.content


def test_no_such_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404"):
        fetch(server.url + "x", tmp_path / "f")
    with pytest.raises(DataError, match="cannot fetch"):
        fetch("http://127.0.0.1:9/none", tmp_path / "f", timeout=2)
    with pytest.raises(ConfigError, match="https://"):
        fetch("file:///etc/hostname", tmp_path / "f")


def test_prepare_fetches_what_mnist_lacks(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MNIST_FILES", {"file.bin": hashlib.md5(CONTENT).hexdigest(), "have.gz": "0"})
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "have").write_text("there already")
    prepare("rotated_mnist", tmp_path, source=server.url.removesuffix("file.bin"))
    assert names(raw) == ["file.bin", "have"]


PACS = ("art_painting", "cartoon", "photo", "sketch")


def test_prepare_says_what_to_fetch_by_hand(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"by hand.*PACS/DOMAIN/CLASS/IMAGE.*sketch; 9,991 images"):
        prepare("pacs", tmp_path)
    for domain in PACS[:3]:
        (tmp_path / "PACS" / domain).mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no folder sketch\. Fetch PACS by hand"):
        prepare("pacs", tmp_path)
    (tmp_path / "PACS" / "sketch").mkdir()
    prepare("pacs", tmp_path)
    prepare("pacs", tmp_path / "PACS")
    prepare("digits", None)
    with pytest.raises(DataError, match=r"data\.root"):
        prepare("pacs", None)
    with pytest.raises(UnknownNameError, match="'office_home'"):
        instructions("ofice_home", tmp_path)


@pytest.mark.parametrize("top", ["PACS/", ""])
def test_prepare_unpacks_an_archive_that_lies_beside(tmp_path: Path, top: str) -> None:
    with zipfile.ZipFile(tmp_path / "PACS.zip", "w") as archive:
        archive.writestr(f"{top}../evil", "x")
    with pytest.raises(DataError, match="outside of its own folder"):
        prepare("pacs", tmp_path)
    assert names(tmp_path) == ["PACS.zip"]
    with zipfile.ZipFile(tmp_path / "PACS.zip", "w") as archive:
        for domain in PACS:
            archive.writestr(f"{top}{domain}/dog/1.jpg", domain)
    prepare("pacs", tmp_path)
    assert names(tmp_path) == ["PACS", "PACS.zip"]
    assert (tmp_path / "PACS" / "photo" / "dog" / "1.jpg").read_text() == "photo"


@pytest.mark.parametrize("inside", [{}, {"thesis.tex": "x"}, {"PACS/photo/dog/1.jpg": "x"}, {"PACS/x.zip": "y"}])
def test_an_archive_without_the_domains_blocks_no_right_one(tmp_path: Path, inside: dict[str, str]) -> None:
    def write(members: dict[str, str]) -> None:
        with zipfile.ZipFile(tmp_path / "PACS.zip", "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)

    write(inside)
    with pytest.raises(DataError, match=r"PACS.zip must hold the folders .*sketch, it has "):
        prepare("pacs", tmp_path)
    assert names(tmp_path) == ["PACS.zip"]
    write({f"PACS/{domain}/dog/1.jpg": domain for domain in PACS})
    prepare("pacs", tmp_path)
    assert names(tmp_path) == ["PACS", "PACS.zip"]


def test_a_damaged_archive_that_was_fetched_is_fetched_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sketch/dog/1.jpg", b"one" * 1000)
    small = replace(IMAGE_SETS["domain_net"], domains=("sketch",), archives={"sketch": server.url})
    monkeypatch.setitem(IMAGE_SETS, "domain_net", small)
    whole = buffer.getvalue()
    server.content, server.cut = whole[:100] + b"two" + whole[103:], 10**9
    with pytest.raises(DataError, match="is damaged"):
        prepare("domain_net", tmp_path)
    assert names(tmp_path / "domain_net") == []
    server.content = whole
    prepare("domain_net", tmp_path)
    assert names(tmp_path / "domain_net") == ["sketch"]


def test_prepare_fetches_the_domains_that_domain_net_lacks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sketch/dog/1.jpg", b"one" * 1000)
    small = replace(IMAGE_SETS["domain_net"], domains=("real", "sketch"), archives={"sketch": server.url})
    monkeypatch.setitem(IMAGE_SETS, "domain_net", small)
    base = tmp_path / "domain_net"
    (base / "real").mkdir(parents=True)
    server.content, server.cut = buffer.getvalue(), 700
    with pytest.raises(DataError, match="broke off after 700"):
        prepare("domain_net", tmp_path)
    assert not (base / "sketch").exists()
    server.cut = 10**9
    prepare("domain_net", tmp_path)
    assert server.asked == [None, "bytes=700-"]
    assert names(base) == ["real", "sketch"]
    assert (base / "sketch" / "dog" / "1.jpg").read_bytes() == b"one" * 1000


def test_the_sets_are_domainbeds() -> None:
    for name, chosen in IMAGE_SETS.items():
        assert list(chosen.domains) == sorted(chosen.domains), name
        assert not chosen.archives or set(chosen.archives) == set(chosen.domains)


def test_a_full_disk_is_said_and_the_next_download_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"cannot fetch .*No space left.*run again"):
            fetch(server.url, tmp_path / "f", SHA)
    assert not (tmp_path / "f").exists()
    assert fetch(server.url, tmp_path / "f", SHA).read_bytes() == CONTENT


def test_checksums_are_torchvisions() -> None:
    from torchvision.datasets import MNIST  # noqa: PLC0415

    assert list(module.MNIST_FILES.items()) == MNIST.resources
    assert module.MNIST_SOURCE in MNIST.mirrors
