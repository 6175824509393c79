"""Images of more than 8 bits come out right, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantdg.bench.commands.prepare import inventory_text
from quantdg.core.errors import DataError
from quantdg.datasets.cache import cached_images
from quantdg.datasets.decode import decode
from quantdg.datasets.folder import load_folder
from quantdg.datasets.inventory import Inventory
from quantdg.datasets.scan import scan

# by hand: a value v of 65535 stands for 255 * v / 65535 = v / 257, rounded
REDUCED = {0: 0, 128: 0, 129: 1, 256: 1, 257: 1, 385: 1, 386: 2, 32768: 128, 32767: 127, 65000: 253, 65535: 255, 514: 2}


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_reduced_by_their_range(tmp_path: Path, kind: str) -> None:
    for value, wanted in REDUCED.items():
        Image.fromarray(np.full((8, 8), value, dtype=np.uint16)).save(tmp_path / f"x.{kind}")
        found = decode((tmp_path / f"x.{kind}").read_bytes, 8)
        assert not found.error
        assert set(found.pixels.ravel().tolist()) == {wanted}, value


def test_big_endian_and_fewer_bits(tmp_path: Path) -> None:
    """A PGM of 12 bits: 2048 of 4095 is 127.53 of 255."""
    (tmp_path / "x.pgm").write_bytes(b"P5 8 8 4095\n" + np.full(64, 2048, dtype=">u2").tobytes())
    assert set(decode((tmp_path / "x.pgm").read_bytes, 8).pixels.ravel().tolist()) == {128}


def test_a_gradient_of_sixteen_bits_is_the_one_of_eight(tmp_path: Path) -> None:
    eight = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(eight).save(tmp_path / "eight.png")
    Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    assert np.array_equal(
        decode((tmp_path / "eight.png").read_bytes, 16).pixels, decode((tmp_path / "sixteen.png").read_bytes, 16).pixels
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_range_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.full((8, 8), 7, dtype=dtype)).save(tmp_path / "x.tif")
    assert "pixels have 8 or 16 bits" in decode((tmp_path / "x.tif").read_bytes, 8).error


def tree(tmp_path: Path, dtype: type = np.uint8) -> Path:
    for domain in ("007", "1e3"):
        (tmp_path / "set" / domain / "1e2").mkdir(parents=True)
        Image.fromarray(np.full((9, 9), 5, dtype=dtype)).save(tmp_path / "set" / domain / "1e2" / "0.png")
    return tmp_path / "set"


def test_a_set_that_was_read_as_white_has_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of before must not count for the images as they are now; sets of 8 bits keep theirs."""
    root = tree(tmp_path, np.uint16)
    now = load_folder("x", root=root, cache_dir=None, size=8).fingerprint
    monkeypatch.setattr("quantdg.datasets.decode._eight_bits", lambda image: image)
    assert load_folder("x", root=root, cache_dir=None, size=8).fingerprint != now


def test_a_cache_of_white_images_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, np.uint16)
    monkeypatch.setattr("quantdg.datasets.cache.DECODER", 1)
    monkeypatch.setattr("quantdg.datasets.decode._eight_bits", lambda image: image)
    old, _ = cached_images("x", scan(root), 8, tmp_path / "cache")
    monkeypatch.undo()
    new, images = cached_images("x", scan(root), 8, tmp_path / "cache")
    assert old.fingerprint != new.fingerprint
    assert not images.any()


def test_prepare_prints_names_as_they_are(tmp_path: Path) -> None:
    lines = inventory_text(Inventory("x", (3, 8, 8), "f", {"007": {"1e2": 1}, "1e3": {"1e2": 12}})).splitlines()
    assert [[c.strip() for c in line.split("|")[1:-1]] for line in (lines[2], *lines[4:])] == [
        ["", "all", "1e2"],
        ["007", "1", "1"],
        ["1e3", "12", "12"],
    ]


def test_a_broken_image_is_still_named(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "007" / "1e2" / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"007/1e2/1\.png \(ValueError: no known format of images\)"):
        load_folder("x", root=root, cache_dir=None, size=8)
