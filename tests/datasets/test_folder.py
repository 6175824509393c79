"""Reading DomainBed folders: order, pixels, and a clear word for every way a folder can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import Resize

from quantdg.core.errors import ConfigError, DataError, UnknownNameError
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.folder import load_folder
from quantdg.datasets.scan import scan
from quantdg.datasets.sources import IMAGE_SETS

PACS_COUNTS = {
    "art_painting": (379, 255, 285, 184, 201, 295, 449),
    "cartoon": (389, 457, 346, 135, 324, 288, 405),
    "photo": (189, 202, 182, 186, 199, 280, 432),
    "sketch": (772, 740, 753, 608, 816, 80, 160),
}
Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Builds root/toy/DOMAIN/CLASS/00K.png; sizes and modes vary."""

    def build(layout: dict[str, dict[str, int]] | None = None) -> Path:
        layout = layout or {"a": {"cat": 3, "dog": 2}, "b": {"cat": 1, "dog": 4}, "c": {"cat": 2, "dog": 2}}
        rng = np.random.default_rng(0)
        for domain, classes in layout.items():
            (tmp_path / "toy" / domain).mkdir(parents=True, exist_ok=True)
            for label, count in classes.items():
                folder = tmp_path / "toy" / domain / label
                folder.mkdir(parents=True)
                for k in range(count):
                    pixels = rng.integers(0, 256, (20 + 3 * k, 31, 3), dtype=np.uint8)
                    image = Image.fromarray(pixels).convert(["RGB", "L", "P", "RGBA"][k % 4])
                    image.save(folder / f"{k:03}.png")
        return tmp_path

    return build


def load(root: Path, **own: object) -> DomainDataset:
    return load_folder("toy", root=root, cache_dir=root / "cache", size=16, folder="toy", **own)  # type: ignore[arg-type]


def test_pixels_and_order_are_imagefolder(tree: Tree) -> None:
    root = tree()
    data = load(root)
    assert data.classes == ("cat", "dog")
    for domain in data.domains:
        wanted = ImageFolder(str(root / "toy" / domain.name), transform=Resize((16, 16)))
        assert domain.labels.tolist() == wanted.targets
        for ours, (theirs, _) in zip(domain.images, wanted, strict=True):
            assert np.array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))


def test_root_may_be_the_set_itself_and_needs_no_cache(tree: Tree) -> None:
    root = tree()
    first = load(root)
    direct = load_folder("toy", root=root / "toy", cache_dir=None, size=16, folder="toy")
    unnamed = load_folder("toy", root=root / "toy", cache_dir=None, size=16)
    assert first.fingerprint == direct.fingerprint == unnamed.fingerprint
    for a, b in zip(first.domains, direct.domains, strict=True):
        assert np.array_equal(a.images, b.images)
    assert not first.domains[0].images.flags.writeable


def test_fingerprint_is_the_content_not_the_machine(tree: Tree) -> None:
    root = tree()
    before = load(root).fingerprint
    victim = root / "toy" / "a" / "cat" / "001.png"
    os.utime(victim, (1, 1))
    assert load(root).fingerprint == before
    Image.new("RGB", (9, 9), "red").save(victim)
    assert load(root).fingerprint != before
    assert load_folder("toy", root=root, cache_dir=None, size=8, folder="toy").fingerprint != before


def test_domains_are_chosen_in_the_given_order(tree: Tree) -> None:
    data = load(tree(), domains=["c", "a"])
    assert [d.name for d in data.domains] == ["c", "a"]
    assert [len(d.labels) for d in data.domains] == [4, 5]


def test_duplicates_are_left_out(tree: Tree) -> None:
    root = tree()
    (root / "toy" / "dup.txt").write_text("a/cat/001.png\n\nb/dog/003.png\n")
    data = load(root, duplicates="dup.txt")
    assert [len(d.labels) for d in data.domains] == [4, 4, 4]
    assert np.array_equal(data.domains[0].images[1], load(root).domains[0].images[2])
    with pytest.raises(DataError, match=r"missing\.txt"):
        load(root, duplicates="missing.txt")
    os.mkfifo(root / "toy" / "pipe.txt")
    with pytest.raises(DataError, match=r"pipe\.txt must be a file"):
        load(root, duplicates="pipe.txt")


def test_files_that_are_no_images_are_skipped(tree: Tree) -> None:
    root = tree()
    before = load(root).fingerprint
    (root / "toy" / "a" / "cat" / "notes.txt").write_text("x")
    (root / "toy" / "a" / "cat" / "._000.png").write_bytes(b"x")
    (root / "toy" / ".git" / "x").mkdir(parents=True)
    (root / "toy" / "list.csv").write_text("x")
    assert load(root).fingerprint == before


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*toy"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"set data\.root"):
        load_folder("toy", root=None, cache_dir=None, size=16)


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    with pytest.raises(DataError, match="DOMAIN/CLASS/IMAGE"):
        load(tmp_path)


def test_one_domain(tree: Tree) -> None:
    with pytest.raises(DataError, match="at least two domains"):
        load(tree({"a": {"cat": 2, "dog": 2}}))


def test_unknown_domain(tree: Tree) -> None:
    with pytest.raises(UnknownNameError, match="'bb'"):
        load(tree(), domains=["a", "bb"])


def test_a_set_of_domainbed_with_a_domain_missing_or_a_stray_folder(tree: Tree) -> None:
    root = tree({d: {"cat": 2} for d in ("art_painting", "cartoon", "photo", "splits")})
    with pytest.raises(UnknownNameError, match=r"no domain folder below .* named 'sketch'"):
        load_folder("pacs", root=root, cache_dir=None, size=16, folder="toy")
    (root / "toy" / "splits").rename(root / "toy" / "sketch")
    (root / "toy" / "lists").mkdir()
    data = load_folder("pacs", root=root, cache_dir=None, size=16, folder="toy")
    assert [d.name for d in data.domains] == ["art_painting", "cartoon", "photo", "sketch"]


def test_domain_without_images(tree: Tree) -> None:
    root = tree()
    (root / "toy" / "d" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"domain 'd' .* no images"):
        load(root)


def test_class_in_one_domain_only(tree: Tree) -> None:
    with pytest.raises(DataError, match=r"class 'emu' .* domain 'b' only"):
        load(tree({"a": {"cat": 2}, "b": {"cat": 1, "emu": 1}}))


def test_class_missing_in_one_of_three_is_fine(tree: Tree) -> None:
    data = load(tree({"a": {"cat": 2, "emu": 1}, "b": {"cat": 1, "emu": 1}, "c": {"cat": 1}}))
    assert [set(d.labels.tolist()) for d in data.domains] == [{0, 1}, {0, 1}, {0}]


@pytest.mark.parametrize("damage", ["zero", "half", "text", "head"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_broken_image_is_named(tree: Tree, damage: str, kind: str) -> None:
    root = tree()
    victim = root / "toy" / "b" / "dog" / f"bad.{kind}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(victim)
    content = victim.read_bytes()
    broken = {"zero": b"", "half": content[: len(content) // 2], "text": b"<html>404</html>", "head": content[:30]}
    victim.write_bytes(broken[damage])
    with pytest.raises(DataError, match=rf"1 of 15 images .*bad\.{kind}"):
        load(root)
    victim.write_bytes(content)
    assert len(load(root).domains[1].labels) == 6


def test_many_broken_images_are_counted(tree: Tree) -> None:
    root = tree({"a": {"cat": 8}, "b": {"cat": 8}})
    for path in (root / "toy").rglob("*.png"):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"16 of 16 images .* and 11 more"):
        load(root)


@pytest.mark.parametrize("size", [4, 5000])
def test_size_out_of_range(tree: Tree, size: int) -> None:
    with pytest.raises(ConfigError, match=f"got {size}"):
        load_folder("toy", root=tree(), cache_dir=None, size=size, folder="toy")


def test_progress_reaches_the_end(tree: Tree) -> None:
    seen: list[tuple[int, int]] = []
    load(tree(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 14) for k in range(1, 15)]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("office_caltech", {"amazon": 958, "caltech10": 1123, "dslr": 157, "webcam": 295}),
        ("digits_real", {"mnist": 3000, "mnist_m": 3000, "usps": 3000}),
    ],
)
def test_published_counts(name: str, counts: dict[str, int], real: Callable[[str], Path]) -> None:
    chosen = IMAGE_SETS[name]
    listing = scan(real(name) / name, chosen.domains)
    assert {domain: sum(by_class.values()) for domain, by_class in listing.counts().items()} == counts
    assert sum(counts.values()) == chosen.images
    assert len(listing.classes) == 10


def test_pacs_counts(tmp_path: Path, real: Callable[[str], Path]) -> None:
    """The published counts, by domain and class."""
    root = real("PACS")
    data = load_folder("pacs", root=root, cache_dir=tmp_path, size=32, folder="PACS")
    assert data.classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    assert {d.name: tuple(np.bincount(d.labels).tolist()) for d in data.domains} == PACS_COUNTS
    assert data.shape == (3, 32, 32)
    assert sum(d.images.nbytes for d in data.domains) == 9991 * 3 * 32 * 32
    sketch = data.domains[3].images
    assert sketch.mean() > 200
    assert np.ptp(sketch[::50].astype(int), axis=1).max() == 0
