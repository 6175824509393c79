"""Data sets that come with splits of their own: Digits-DG and those of WILDS, in small copies of their layouts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantdg.bench.experiment.load import load
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.data import CellData
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError, DataError, UnknownNameError
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.camelyon17 import load_camelyon17
from quantdg.datasets.digits_dg import load_digits_dg
from quantdg.datasets.iwildcam import load_iwildcam
from quantdg.datasets.splits import split


def shade(path: Path, value: int) -> None:
    """An image of one gray, which says which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


def shades(data: DomainDataset, domain: str) -> list[int]:
    return [int(image[0, 0, 0]) for image in data.domains[data.index(domain)].images]


def cell(data: DomainDataset, target: str, seed: int = 0) -> CellData:
    protocol = load([]).setups[0].protocol
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


@pytest.mark.parametrize("loader", [load_digits_dg, load_camelyon17, load_iwildcam])
def test_a_split_of_another_name(tmp_path: Path, loader: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.split must be one of official, domainbed, got 'val'"):
        loader("x", root=tmp_path, cache_dir=None, size=32, split="val")
    with pytest.raises(ConfigError, match="got 4"):
        loader("x", root=tmp_path, cache_dir=None, size=4)


CAMELYON = [  # patient, node, x, y, tumor, slide, center, split: the official column has 0 and 1 for every hospital
    *(("004", 4, 3328 + 96 * k, 21792, k % 2, 0, 0, int(k in (2, 3))) for k in range(7)),
    *(("020", 1, 96 * k, 96, k % 2, 12, 1, k % 2) for k in range(5)),
    *(("042", 3, 96 * k, 192, k % 2, 23, 2, k % 2) for k in range(6)),
    *(("060", 0, 96 * k, 288, 1 - k % 2, 33, 3, int(k == 0)) for k in range(5)),
    *(("099", 2, 96 * k, 384, k % 2, 49, 4, int(k == 4)) for k in range(6)),
]


@pytest.fixture
def camelyon(tmp_path: Path) -> Path:
    """The official folder in small: rows of hospitals mixed, patient numbers with their zeros, an index without a name."""
    base = tmp_path / "camelyon17_v1.0"
    rows = [CAMELYON[k] for k in np.random.default_rng(0).permutation(len(CAMELYON))]
    lines = [",patient,node,x_coord,y_coord,tumor,slide,center,split"]
    for k, row in enumerate(rows):
        patient, node, x, y, *_ = row
        slide = f"patient_{patient}_node_{node}"
        shade(base / "patches" / slide / f"patch_{slide}_x_{x}_y_{y}.png", CAMELYON.index(row))
        lines.append(",".join(map(str, (k, *row))))
    (base / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_camelyon17_by_the_official_split(camelyon: Path) -> None:
    data = load_camelyon17("c", root=camelyon, cache_dir=None, size=8)
    assert [d.name for d in data.domains] == ["hospital_0", "hospital_2", "hospital_3", "hospital_4"]
    assert data.targets == ("hospital_2",)
    assert data.classes == ("normal", "tumor")
    made = cell(data, "hospital_2")
    for index, first, held_out in ((0, 0, {2, 3}), (2, 18, {0}), (3, 23, {4})):
        domain = data.domains[index]
        which = [shade - first for shade in shades(data, domain.name)]
        assert {which[k] for k in made.validation[index]} == held_out
        assert {which[k] for k in made.train[index]} == set(range(len(which))) - held_out
        assert [CAMELYON[first + k][4] for k in which] == domain.labels.tolist()
    assert sorted([*made.target_in, *made.target_out]) == list(range(6))
    assert made.target_in.tolist() == split(6, 0, 1)[0].tolist()


def test_camelyon17_by_domainbeds_rule(camelyon: Path) -> None:
    data = load_camelyon17("c", root=camelyon, cache_dir=None, size=8, split="domainbed")
    assert list(data.targets) == [d.name for d in data.domains] == [f"hospital_{k}" for k in range(5)]
    assert [len(d.labels) for d in data.domains] == [7, 5, 6, 5, 6]
    assert cell(data, "hospital_0").validation[1].tolist() == split(5, 0, 1)[1].tolist()


def test_the_order_of_camelyon17_is_that_of_the_table(camelyon: Path) -> None:
    lines = (camelyon / "camelyon17_v1.0" / "metadata.csv").read_text().splitlines()[1:]
    rows = [tuple(line.split(",")[1:]) for line in lines]
    wanted = [CAMELYON.index(next(r for r in CAMELYON if tuple(map(str, r)) == row)) for row in rows if row[6] == "3"]
    assert shades(load_camelyon17("c", root=camelyon, cache_dir=None, size=8), "hospital_3") == wanted


def test_the_validation_hospital_may_be_asked_for(camelyon: Path) -> None:
    data = load_camelyon17(
        "c", root=camelyon, cache_dir=None, size=8, domains=["hospital_0", "hospital_1", "hospital_2"]
    )
    assert cell(data, "hospital_2").validation[1].tolist() == split(5, 0, 1)[1].tolist()
    with pytest.raises(UnknownNameError, match="'hospital_5'"):
        load_camelyon17("c", root=camelyon, cache_dir=None, size=8, domains=["hospital_0", "hospital_5"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",center,", ",hospital,", r"metadata\.csv must have the columns .* it lacks center"),
        (",tumor,", ",label,", "it lacks tumor"),
        (",23,2,0", ",23,2,7", r"column split of .* must be one of 0, 1, got 7"),
        (",23,2,0", ",23,2,", r"has gaps, the first in row \d+"),
        (",004,", ",005,", r"patient_005_node_4.* is not"),
    ],
)
def test_a_damaged_table_of_camelyon17(camelyon: Path, old: str, new: str, words: str) -> None:
    file = camelyon / "camelyon17_v1.0" / "metadata.csv"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=words):
        load_camelyon17("c", root=camelyon, cache_dir=None, size=8)


def stale(monkeypatch: pytest.MonkeyPatch, name: str, call: str) -> None:
    """A network drive went away below the folder of this name."""
    real = getattr(os, call)

    def refuse(path: object = ".", *args: object, **options: object) -> object:
        if f"/{name}" in str(path):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, call, refuse)


def test_a_stale_folder_of_camelyon17(camelyon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale(monkeypatch, "patches", "stat")
    with pytest.raises(DataError, match=r"must be readable, .*\.png is not \(Stale file handle\)"):
        load_camelyon17("c", root=camelyon, cache_dir=None, size=8)


def test_a_stale_folder_of_digits_dg(digits_dg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale(monkeypatch, "svhn/val/1", "scandir")
    with pytest.raises(DataError, match=r"must be readable, .*svhn/val/1 is not \(Stale file handle\)"):
        load_digits_dg("d", root=digits_dg, cache_dir=None, size=8)


def test_no_table(camelyon: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (camelyon / "camelyon17_v1.0" / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"cannot read .*metadata\.csv: No such file"):
        load_camelyon17("c", root=camelyon, cache_dir=None, size=8)
    assert main(["prepare", "dataset=camelyon17", f"data.root={camelyon}"]) == 2
    assert "wilds.stanford.edu" in capsys.readouterr().err


def test_all_targets_of_an_official_split_are_its_own(camelyon: Path, tmp_path: Path) -> None:
    words = [
        "dataset=camelyon17",
        "dataset.size=8",
        f"data.root={camelyon}",
        f"data.cache={tmp_path}",
        "quantizer=[float]",
    ]
    assert {cell.group.target for cell in load_and_plan(load(words))} == {"hospital_2"}
    hospitals = {f"hospital_{k}" for k in range(5)}
    assert {cell.group.target for cell in load_and_plan(load([*words, "dataset.split=domainbed"]))} == hospitals


IWILDCAM = [  # split, location_remapped, y, filename
    *(("train", camera, camera % 3, f"t{camera}{k}.jpg") for camera in (2, 5, 7, 11, 30) for k in range(4)),
    *(("id_val", camera, 1, f"v{camera}.jpg") for camera in (2, 5, 7, 11, 30)),
    *(("id_test", camera, 1, f"i{camera}.jpg") for camera in (2, 7)),
    *(("val", camera, 0, f"o{camera}.jpg") for camera in (1, 40)),
    *(("test", camera, 3, f"e{camera}.jpg") for camera in (3, 41, 42, 43, 44)),
]


@pytest.fixture
def iwildcam(tmp_path: Path) -> Path:
    base = tmp_path / "iwildcam_v2.0"
    lines = [
        ",split,location_remapped,location,sequence_remapped,year,month,day,hour,minute,second,y,filename,datetime,seq_id"
    ]
    for k, (part, camera, y, file) in enumerate(IWILDCAM):
        shade(base / "train" / file, k)
        when = "2013,6,5,5,44,19"
        lines.append(f"{k},{part},{camera},{camera + 500},{k},{when},{y},{file},2013-06-05 05:44:19.000,30048d32")
    (base / "metadata.csv").write_text("\n".join(lines) + "\n")
    (base / "categories.csv").write_text(
        "y,category_id,name\n0,0,empty\n1,2,tayassu pecari\n3,5,empty\n99999,7,unused\n"
    )
    return tmp_path


def test_iwildcam_by_the_official_split(iwildcam: Path) -> None:
    """Cameras 2, 5, 7, 11 and 30 go to groups 1, 2, 1, 2 and 1."""
    data = load_iwildcam("i", root=iwildcam, cache_dir=None, size=8, groups=2)
    assert [d.name for d in data.domains] == ["train_1", "train_2", "test"]
    assert data.targets == ("test",)
    assert data.classes == ("empty 0", "tayassu pecari", "2", "empty 3")
    assert shades(data, "train_1") == [*range(4), *range(8, 12), *range(16, 20), 20, 22, 24]
    assert shades(data, "train_2") == [*range(4, 8), *range(12, 16), 21, 23]
    assert shades(data, "test") == list(range(29, 34))
    assert data.domains[1].labels.tolist() == [2] * 8 + [1] * 2
    made = cell(data, "test")
    assert made.validation[0].tolist() == [12, 13, 14]
    assert made.train[0].tolist() == list(range(12))
    assert made.validation[1].tolist() == [8, 9]


def test_iwildcam_by_domainbeds_rule(iwildcam: Path) -> None:
    """Cameras 1, 2, 3, 5, 7, 11, 30, 40, ... in turn, with all their images."""
    data = load_iwildcam("i", root=iwildcam, cache_dir=None, size=8, groups=3, split="domainbed")
    assert list(data.targets) == ["cameras_1", "cameras_2", "cameras_3"]
    first = {1, 5, 30, 42}
    assert shades(data, "cameras_1") == [k for k, row in enumerate(IWILDCAM) if row[1] in first]
    assert sum(len(d.labels) for d in data.domains) == len(IWILDCAM)
    assert all(d.held_out is None for d in data.domains)


def test_settings_of_iwildcam(iwildcam: Path) -> None:
    chosen = load_iwildcam("i", root=iwildcam, cache_dir=None, size=8, groups=2, domains=["train_2", "val", "test"])
    assert [len(d.labels) for d in chosen.domains] == [10, 2, 5]
    with pytest.raises(ConfigError, match="got 1"):
        load_iwildcam("i", root=iwildcam, cache_dir=None, size=8, groups=1)
    with pytest.raises(DataError, match=r"domain 'train_6' .* has no images"):
        load_iwildcam("i", root=iwildcam, cache_dir=None, size=8, groups=6)
    (iwildcam / "iwildcam_v2.0" / "categories.csv").unlink()
    with pytest.raises(DataError, match=r"categories\.csv"):
        load_iwildcam("i", root=iwildcam, cache_dir=None, size=8)
