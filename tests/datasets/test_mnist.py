"""The MNIST families against the constructions they are named after, on the real files where they are here."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms.functional as tvf
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode

from quantdg.core.errors import ConfigError, DataError
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.colored_mnist import load_colored_mnist, load_colored_mnist_irm
from quantdg.datasets.mnist import read_mnist, shuffled
from quantdg.datasets.rotated_mnist import load_rotated_mnist, rotate

LOADERS = (load_rotated_mnist, load_colored_mnist, load_colored_mnist_irm)


def idx(array: NDArray[np.uint8]) -> bytes:
    return np.array([0x800 + array.ndim, *array.shape], ">i4").tobytes() + array.tobytes()


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """3000 + 600 noise images; the first pixel of each holds its digit."""
    rng = np.random.default_rng(0)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 3000), ("t10k", 600)):
        images = rng.integers(1, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        images[:, 0, 0] = labels + 1
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def sizes(data: DomainDataset) -> dict[str, int]:
    return {d.name: len(d.labels) for d in data.domains}


def test_reader_appends_the_test_set(fake: Path) -> None:
    images, labels = read_mnist(fake)
    assert images.shape == (3600, 28, 28)
    assert np.array_equal(images[:, 0, 0] - 1, labels)
    assert len(read_mnist(fake, test=False)[0]) == 3000


@pytest.mark.parametrize("damage", ["flip", "cut", "text", "header", "negative"])
def test_a_damaged_file_is_named(fake: Path, damage: str) -> None:
    plain = fake / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    packed = plain.with_name(plain.name + ".gz")
    content = plain.read_bytes()
    good = gzip.compress(content)
    middle = len(good) // 2
    damaged = {
        "flip": good[:20] + bytes([good[20] ^ 0xFF]) + good[21:middle] + bytes(64) + good[middle + 64 :],
        "cut": good[:middle],
        "text": b"<html>404</html>",
        "header": gzip.compress(content[:7]),
        "negative": gzip.compress(content[:4] + np.array([-1, -28, 28], ">i4").tobytes() + bytes(784)),
    }
    packed.write_bytes(damaged[damage])
    plain.unlink()
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.*fetch the file again"):
        read_mnist(fake)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("call", ["is_file", "read_bytes"])
def test_a_file_that_cannot_be_read_is_named(
    fake: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(DataError, match=rf"cannot read .*train-images-idx3-ubyte .*{os.strerror(number)}"):
        read_mnist(fake)


def test_reader_takes_gz(fake: Path) -> None:
    plain = fake / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    wanted, _ = read_mnist(fake)
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert np.array_equal(read_mnist(fake)[0], wanted)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "no MNIST file"),
        (lambda p: p.write_bytes(p.read_bytes()[:-5]), "announces shape"),
        (lambda p: p.write_bytes(b"<html>not found</html>"), "no idx file"),
        (lambda p: p.write_bytes(b""), "no idx file"),
        (lambda p: p.write_bytes(idx(np.zeros((7, 28, 28), np.uint8))), "holds .* images and"),
        (
            lambda p: p.with_name("train-labels-idx1-ubyte").write_bytes(idx(np.full(3000, 10, np.uint8))),
            "is 10; fetch",
        ),
    ],
)
def test_damaged_files_are_named(fake: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(fake / "MNIST" / "raw" / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match=words):
        read_mnist(fake)
    with pytest.raises(DataError, match=r"data\.root"):
        read_mnist(None)


def test_shuffle_is_a_pinned_permutation() -> None:
    order = shuffled(1000, 0)
    assert sorted(order.tolist()) == list(range(1000))
    assert order[:6].tolist() == [338, 261, 724, 958, 333, 497]
    assert shuffled(1000, 1)[:6].tolist() != order[:6].tolist()


def test_rotation_equals_torchvision() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    for angle in (0, 15, 75):
        for ours, source in zip(rotate(images, angle), images, strict=True):
            theirs = tvf.rotate(Image.fromarray(source), angle, InterpolationMode.BILINEAR, fill=(0,))
            assert np.array_equal(ours, np.asarray(theirs))


def test_rotated_deals_every_digit_once(fake: Path) -> None:
    data = load_rotated_mnist("r", root=fake, angles=(0, 180))
    assert sizes(data) == {"0": 1800, "180": 1800}
    source, digits = read_mnist(fake)
    order = shuffled(3600, 0)
    for k, domain in enumerate(data.domains):
        turned = domain.images[:, 0, ::-1, ::-1] if k else domain.images[:, 0]
        assert np.array_equal(turned, source[order[k::2]])
        assert np.array_equal(domain.labels, digits[order[k::2]])
    assert (data.mean, data.std, data.shape) == ((0.0,), (1.0,), (1, 28, 28))


@pytest.mark.parametrize("load", [load_colored_mnist, load_colored_mnist_irm])
def test_colour_follows_the_label_as_announced(fake: Path, load: Callable[..., DomainDataset]) -> None:
    data = load("c", root=fake)
    for domain in data.domains:
        agree = {"plus90": 0.9, "plus80": 0.8, "minus90": 0.1}[domain.name]
        used = domain.images.reshape(len(domain.labels), 2, -1).any(axis=2)
        assert (used.sum(axis=1) == 1).all()
        colour = used.argmax(axis=1)
        bound = 4 * 0.5 / len(domain.labels) ** 0.5
        assert abs((colour == domain.labels).mean() - agree) < bound
        assert set(colour.tolist()) == {0, 1}
        digit = domain.images[:, :, 0, 0].max(axis=1).astype(int) - 1
        assert abs(((digit < 5) == domain.labels).mean() - 0.75) < bound


def test_colour_without_noise_is_exact(fake: Path) -> None:
    data = load_colored_mnist("c", root=fake, flips=(0.0, 1.0), label_noise=0.0)
    assert [d.name for d in data.domains] == ["plus100", "minus100"]
    for domain, sign in zip(data.domains, (1, 0), strict=True):
        digit = domain.images[:, :, 0, 0].max(axis=1).astype(int) - 1
        assert np.array_equal(domain.labels, digit < 5)
        coloured = domain.images[:, 1, 5, 5] > 0
        assert np.array_equal(coloured, domain.labels == sign)


def test_irm_halves_and_subsamples(fake: Path) -> None:
    data = load_colored_mnist_irm("i", root=fake)
    assert sizes(data) == {"plus80": 1250, "plus90": 1250, "minus90": 500}
    source, _ = read_mnist(fake, test=False)
    order = shuffled(3000, 0)
    assert np.array_equal(data.domains[2].images.max(axis=1), source[order[2500:], ::2, ::2])
    assert np.array_equal(data.domains[1].images.max(axis=1), source[order[1:2500:2], ::2, ::2])


@pytest.mark.parametrize("load", LOADERS)
def test_reproducible_and_seeded(fake: Path, load: Callable[..., DomainDataset]) -> None:
    first = load("x", root=fake).fingerprint
    np.random.seed(3)
    assert load("x", root=fake).fingerprint == first
    assert load("x", root=fake, order_seed=1).fingerprint != first
    with pytest.raises(ConfigError, match="got 32"):
        load("x", root=fake, size=32)


def test_settings_out_of_range(fake: Path) -> None:
    with pytest.raises(ConfigError, match="got 15 twice"):
        load_rotated_mnist("r", root=fake, angles=(0, 15, 15))
    with pytest.raises(ConfigError, match="got 0 and 360, which are the same"):
        load_rotated_mnist("r", root=fake, angles=(0, 15, 360))
    with pytest.raises(ConfigError, match=r"which are the same|twice"):
        load_colored_mnist("c", root=fake, flips=(0.1, 0.1))
    with pytest.raises(ConfigError, match="at least two rates"):
        load_colored_mnist_irm("c", root=fake, flips=())
    with pytest.raises(ConfigError, match=r"got 1\.5"):
        load_colored_mnist("c", root=fake, flips=(0.1, 1.5))
    with pytest.raises(DataError, match="at least two domains"):
        load_rotated_mnist("r", root=fake, angles=(0,))


def test_severity_scales_the_angles(fake: Path) -> None:
    half = load_rotated_mnist("r", root=fake, severity=0.5)
    assert [d.name for d in half.domains] == ["0", "7.5", "15", "22.5", "30", "37.5"]
    by_hand = load_rotated_mnist("r", root=fake, angles=(0, 7.5, 15, 22.5, 30, 37.5))
    assert half.fingerprint == by_hand.fingerprint
    usual = load_rotated_mnist("r", root=fake).fingerprint
    assert load_rotated_mnist("r", root=fake, severity=1).fingerprint == usual
    with pytest.raises(ConfigError, match="got 0 and 360, which are the same"):
        load_rotated_mnist("r", root=fake, angles=(0, 180), severity=2)


@pytest.mark.parametrize("load", [load_colored_mnist, load_colored_mnist_irm])
def test_severity_scales_the_distance_from_a_coin(fake: Path, load: Callable[..., DomainDataset]) -> None:
    """By hand: 0.1, 0.2 and 0.9 at one half are 0.3, 0.35 and 0.7."""
    half = {d.name for d in load("c", root=fake, severity=0.5).domains}
    assert half == {"plus70", "plus65", "minus70"}
    assert load("c", root=fake, severity=1).fingerprint == load("c", root=fake).fingerprint
    assert {d.name for d in load("c", root=fake, severity=1.25).domains} == {"plus100", "plus88", "minus100"}
    with pytest.raises(ConfigError, match=r"at most 1\.25 here, got 1\.3"):
        load("c", root=fake, severity=1.3)


def test_real_files(real: Callable[[str], Path]) -> None:
    """Sizes of the published sets, and MNIST's known mean."""
    root = real("MNIST/raw")
    images, _ = read_mnist(root, test=False)
    assert abs(images.mean() / 255 - 0.1307) < 5e-5
    assert sizes(load_colored_mnist("c", root=root)) == {"plus90": 23334, "plus80": 23333, "minus90": 23333}
    assert sizes(load_colored_mnist_irm("i", root=root)) == {"plus80": 25000, "plus90": 25000, "minus90": 10000}
