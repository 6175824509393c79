"""Data sets that come with splits of their own: Digits-DG and those of WILDS, in small copies of their layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from quantdg.bench.experiment.load import load
from quantdg.bench.training.data import CellData
from quantdg.core.errors import ConfigError, DataError
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.digits_dg import load_digits_dg
from quantdg.datasets.splits import split


def shade(path: Path, value: int) -> None:
    """An image of one gray, which says which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


def shades(data: DomainDataset, domain: str) -> list[int]:
    return [int(image[0, 0, 0]) for image in data.domains[data.index(domain)].images]


def cell(data: DomainDataset, target: str, seed: int = 0) -> CellData:
    protocol = load([]).protocol
    return CellData(data, data.index(target), seed, protocol, device="cpu")


@pytest.fixture
def digits_dg(tmp_path: Path) -> Path:
    """Two digits; each domain has 4 images of one and 6 of the other in train, 1 and 2 in val."""
    shade_of = 0
    for domain in ("mnist", "mnist_m", "svhn", "syn"):
        for part, counts in (("val", (1, 2)), ("train", (4, 6))):
            for digit, count in enumerate(counts):
                for k in range(count):
                    shade(tmp_path / "digits_dg" / domain / part / str(digit) / f"{k:05}.png", shade_of)
                    shade_of += 1
    return tmp_path


def test_digits_dg_trains_on_train_and_validates_on_val(digits_dg: Path) -> None:
    data = load_digits_dg("digits_dg", root=digits_dg, cache_dir=None, size=8)
    assert [d.name for d in data.domains] == list(data.targets) == ["mnist", "mnist_m", "svhn", "syn"]
    assert data.classes == ("0", "1")
    assert shades(data, "mnist") == [*range(3, 13), 0, 1, 2]  # train, then val
    assert data.domains[0].labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1]
    for seed in (0, 1):
        made = cell(data, "svhn", seed)
        assert made.train[0].tolist() == list(range(10))
        assert made.validation[0].tolist() == [10, 11, 12]
        target_in, target_out = split(13, seed, 2)
        assert made.target_in.tolist() == target_in.tolist()
        assert made.target_out.tolist() == target_out.tolist()


def test_digits_dg_by_domainbeds_rule(digits_dg: Path) -> None:
    official = load_digits_dg("d", root=digits_dg, cache_dir=None, size=8)
    data = load_digits_dg("d", root=digits_dg, cache_dir=None, size=8, split="domainbed")
    assert data.fingerprint == official.fingerprint
    made = cell(data, "svhn")
    assert made.train[0].tolist() == split(13, 0, 0)[0].tolist()
    assert made.validation[0].tolist() == split(13, 0, 0)[1].tolist()


def test_digits_dg_without_val(digits_dg: Path) -> None:
    (digits_dg / "digits_dg" / "syn" / "val").rename(digits_dg / "elsewhere")
    with pytest.raises(DataError, match=r"syn/val"):
        load_digits_dg("d", root=digits_dg, cache_dir=None, size=8)
    chosen = load_digits_dg("d", root=digits_dg, cache_dir=None, size=8, domains=["svhn", "mnist"])
    assert [d.name for d in chosen.domains] == ["svhn", "mnist"]


@pytest.mark.parametrize("loader", [load_digits_dg])
def test_a_split_of_another_name(tmp_path: Path, loader: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.split must be one of official, domainbed, got 'val'"):
        loader("x", root=tmp_path, cache_dir=None, size=32, split="val")
    with pytest.raises(ConfigError, match="got 4"):
        loader("x", root=tmp_path, cache_dir=None, size=4)
