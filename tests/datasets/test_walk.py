"""No image is lost in silence and none counts twice, whatever the folders are like."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from quantdg.core.errors import ConfigError, DataError
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.folder import load_folder
from quantdg.datasets.scan import scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Domains a, b, c of classes cat and dog with two images each."""
    for domain in "abc":
        for label in ("cat", "dog"):
            folder = tmp_path / "toy" / domain / label
            folder.mkdir(parents=True)
            for k in range(2):
                Image.new("RGB", (9, 9), (40 * k, 7, 9)).save(folder / f"{k}.png")
    return tmp_path / "toy"


def load(root: Path, **own: object) -> DomainDataset:
    return load_folder("toy", root=root, cache_dir=None, size=8, **own)  # type: ignore[arg-type]


def counts(data: DomainDataset) -> list[int]:
    return [len(domain.labels) for domain in data.domains]


def test_a_domain_named_twice(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.domains must name each entry once, got a twice; .*\[a,b\]"):
        load(root, domains=["a", "a", "b"])


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("place", ["", "a", "a/dog"])
def test_a_folder_that_cannot_be_listed(root: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str) -> None:
    real = os.scandir

    def scandir(path: object = ".") -> object:
        if Path(str(path)) == root / place:
            raise OSError(number, os.strerror(number), str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=rf"must be readable, {root / place} is not \({os.strerror(number)}\)"):
        load(root)


def test_an_error_in_the_middle_of_a_listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network drive may break off after some names."""
    real = os.scandir

    class Broken:
        def __init__(self, path: object) -> None:
            self.found = real(path)  # type: ignore[call-overload]

        def __enter__(self) -> object:
            return self

        def __exit__(self, *_: object) -> None:
            self.found.close()

        def __iter__(self) -> object:
            yield next(self.found)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "scandir", lambda path: Broken(path) if str(path).endswith("b/cat") else real(path))
    with pytest.raises(DataError, match=r"b/cat is not \(Stale file handle\)"):
        load(root)


def test_a_link_to_another_domain(root: Path) -> None:
    (root / "d").symlink_to("a")
    with pytest.raises(DataError, match=rf"must be there once, but {root}/d/cat leads to {root}/a/cat"):
        load(root)
    assert counts(load(root, domains=["d", "b"])) == [4, 4]


def test_a_link_to_a_class_of_another_domain(root: Path) -> None:
    (root / "b" / "emu").symlink_to(root / "a" / "dog")
    with pytest.raises(DataError, match=r"must be there once, but .*b/emu leads to .*a/dog"):
        load(root)


@pytest.mark.parametrize("target", ["..", "../..", "../../..", "/"])
def test_a_link_that_leads_round_in_a_circle(root: Path, target: str) -> None:
    (root / "a" / "cat" / "more").symlink_to(target)
    with pytest.raises(DataError, match=r"must be there once, but .*a/cat/more(/cat)? leads to"):
        load(root)


def test_a_link_to_a_listed_image(root: Path) -> None:
    (root / "b" / "cat" / "9.png").symlink_to(root / "a" / "cat" / "1.png")
    with pytest.raises(DataError, match=r"must be there once, but b/cat/9\.png is a link to a/cat/1\.png"):
        load(root)
    (root / "out.txt").write_text("a/cat/1.png\n")
    assert counts(load(root, duplicates="out.txt")) == [3, 5, 4]


def test_a_domain_that_is_a_link_to_elsewhere_is_fine(root: Path) -> None:
    before = load(root).fingerprint
    (root / "c").rename(root.parent / "far")
    (root / "c").symlink_to(root.parent / "far")
    store = root.parent / "store.png"
    (root / "a" / "cat" / "0.png").rename(store)
    (root / "a" / "cat" / "0.png").symlink_to(store)
    assert load(root).fingerprint == before


@pytest.mark.parametrize("place", ["a/cat/9.png", "a/emu", "d"])
def test_a_link_that_leads_nowhere(root: Path, place: str) -> None:
    (root / place).symlink_to("gone")
    with pytest.raises(DataError, match=rf"must lead somewhere, {root}/{place} leads to 'gone', which is not there"):
        load(root)


def test_a_pipe_is_no_image(root: Path) -> None:
    os.mkfifo(root / "a" / "cat" / "9.png")
    with pytest.raises(DataError, match=r"an image must be a file, .*9\.png is a pipe"):
        load(root)


def test_hidden_folders_and_those_of_the_system_do_not_count(root: Path) -> None:
    before = load(root).fingerprint
    for place in ("a/cat/.ipynb_checkpoints", "a/.thumbs", "b/cat/deep/.git", "__MACOSX/a", "b/dog/@eaDir/0.png"):
        (root / place).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(root / place / "0-checkpoint.png")
    assert load(root).fingerprint == before


def test_the_order_is_that_of_imagefolder(root: Path) -> None:
    """Folders by their whole path: a/b, a/b-c, a/b/c."""
    for place in ("b", "b-c", "b/c"):
        (root / "a" / "cat" / place).mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(root / "a" / "cat" / place / "x.png")
    found = [e.path for e in scan(root).entries if e.path.startswith("a/cat")]
    assert found == [f"a/cat/{name}.png" for name in ("0", "1", "b/x", "b-c/x", "b/c/x")]


@pytest.mark.parametrize("here", [False, True])
def test_paths_are_relative_to_any_root(root: Path, monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    monkeypatch.chdir(root if here else root.parent)
    assert scan(Path("." if here else "toy")).entries[0].path == "a/cat/0.png"


@pytest.fixture
def listed(root: Path) -> Callable[..., list[int]]:
    """Images in each domain with a list of these bytes."""

    def read(content: bytes, **own: object) -> list[int]:
        (root / "list.txt").write_bytes(content)
        return counts(load(root, duplicates="list.txt", **own))

    return read


@pytest.mark.parametrize(
    "content",
    [
        b"a/cat/0.png\nb/dog/1.png\n",
        b"a\\cat\\0.png\r\nb\\dog\\1.png\r\n",
        b"\xef\xbb\xbfa/cat/0.png\n./b/dog/1.png",
        "a/cat/0.png\nb/dog/1.png".encode("utf-16"),
        b".\\a\\cat\\0.png\n\n\na/cat/0.png\nb/dog/1.png\n",
    ],
)
def test_what_can_be_understood_in_a_list_is_taken(listed: Callable[..., list[int]], content: bytes) -> None:
    assert listed(content) == [3, 3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"toy/a/cat/0.png\n", "1 of 1 do not, for example 'toy/a/cat/0.png'; write lines like 'a/cat/0.png'"),
        (b"a/cat/0.png 3\n", "1 of 1 do not, for example 'a/cat/0.png 3'"),
        (b"a/cat/0.png\na/cat/7.png\nx\n", "2 of 3 do not, for example 'a/cat/7.png'"),
        (b"a/caf\xe9/0.png\n", r"for example 'a/caf\\udce9/0.png'; .* in UTF-8"),
        (b"list.txt\n", "for example 'list.txt'"),
        (b"a/cat/" + b"x" * 5000, "1 of 1 do not"),
        (b"\xff\xfe\x00", "1 of 1 do not"),
        (b"a/cat/\x000.png", "1 of 1 do not"),
        (b"", "must name an image, .*list.txt names none"),
        (b"\xef\xbb\xbf \r\n\n", "must name an image, .*list.txt names none"),
    ],
)
def test_a_line_that_names_no_image_is_an_error(listed: Callable[..., list[int]], content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(content)


def test_a_list_is_looked_for_where_it_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    (root.parent / "mine.txt").write_text("a/cat/0.png\n")
    for name in ("~/mine.txt", str(root.parent / "mine.txt"), "../mine.txt"):
        assert counts(load(root, duplicates=name)) == [3, 4, 4]
    for name, message in (("gone.txt", "No such file .*; write its full path"), ("a", "must be a file")):
        with pytest.raises(DataError, match=message):
            load(root, duplicates=name)
    with pytest.raises(ConfigError, match=r"dataset\.duplicates must be a path, got ''"):
        load(root, duplicates="")


def test_lines_of_domains_that_are_not_used_may_stay(listed: Callable[..., list[int]]) -> None:
    content = b"a/cat/0.png\nc\\dog\\1.png\n"
    assert listed(content, domains=["a", "b"]) == [3, 4]
    with pytest.raises(DataError, match=r"for example 'c/dog/7\.png'"):
        listed(b"c/dog/7.png\n", domains=["a", "b"])


def test_a_file_name_may_hold_a_backslash_and_bytes_that_are_no_utf8(root: Path) -> None:
    image = (root / "a" / "cat" / "0.png").read_bytes()
    Path(os.fsdecode(os.fsencode(root) + b"/a/cat/x\\y\xe9.png")).write_bytes(image)
    (root / "list.txt").write_bytes(b"a/cat/x\\y\xe9.png\n")
    assert counts(load(root, duplicates="list.txt")) == [4, 4, 4]
