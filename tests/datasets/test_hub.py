"""Tables of images against the folders that they are copies of: pixels, order, splits and fingerprint."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from quantdg.bench.experiment.load import load
from quantdg.bench.training.data import CellData
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError, DataError, MissingPackageError, UnknownNameError
from quantdg.datasets import hub as module
from quantdg.datasets import hub_rows
from quantdg.datasets.base import DomainDataset
from quantdg.datasets.folder import load_folder
from quantdg.datasets.hub import load_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODED = {
    "info": {
        "features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["emu", "cat", "dog"]}}
    }
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three domains of three classes; sizes and modes vary."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for domain, counts in {"b": (4, 3, 2), "a": (1, 5, 2), "c": (2, 2, 3)}.items():
        for label, count in zip(("dog", "cat", "emu"), counts, strict=True):
            folder = root / "toy" / domain / label
            folder.mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 256, (20 + 3 * k, 31, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(["RGB", "L", "P"][k % 3]).save(folder / f"{9 - k:03}.png")
    return root


def rows_of(root: Path) -> list[dict[str, Any]]:
    """One row for each file, shuffled."""
    files = sorted(root.rglob("*.png")) + sorted(root.rglob("*.jpg"))
    order = np.random.default_rng(1).permutation(len(files))
    return [
        {
            "image": {"bytes": files[k].read_bytes(), "path": files[k].name},
            "domain": files[k].parts[-3],
            "label": files[k].parts[-2],
        }
        for k in order
    ]


def write(rows: list[dict[str, Any]], path: Path, coded: bool = False) -> Path:
    """As the library writes them; ``coded`` gives classes numbers in another order than that of their names."""
    if coded:
        rows = [{**row, "label": ["emu", "cat", "dog"].index(row["label"])} for row in rows]
    table = pa.Table.from_pylist(rows)
    if coded:
        table = table.replace_schema_metadata({"huggingface": json.dumps(CODED)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return path


def from_table(path: Path, **own: Any) -> DomainDataset:
    root, cache = path.parent, path.parent / "cache"
    return load_hub("toy", root=root, cache_dir=cache, size=16, path=path.name, **own)


def assert_equal(table: DomainDataset, folder: DomainDataset) -> None:
    assert table.classes == folder.classes
    assert table.fingerprint == folder.fingerprint
    for ours, theirs in zip(table.domains, folder.domains, strict=True):
        assert ours.name == theirs.name
        assert np.array_equal(ours.images, theirs.images)
        assert np.array_equal(ours.labels, theirs.labels)
    protocol = load([]).setups[0].protocol
    for seed in (0, 1):
        one, other = (CellData(data, 2, seed, protocol, device="cpu") for data in (table, folder))
        for i in one.sources:
            assert np.array_equal(one.train[i], other.train[i])
        assert np.array_equal(one.target_in, other.target_in)


@pytest.mark.parametrize("coded", [False, True])
def test_a_copy_is_the_folder_to_the_pixel(tree: Path, tmp_path: Path, coded: bool) -> None:
    folder = load_folder("toy", root=tree, cache_dir=None, size=16, folder="toy")
    path = write(rows_of(tree / "toy"), tmp_path / "toy.parquet", coded)
    assert_equal(from_table(path), folder)
    assert_equal(
        from_table(path, domains=["c", "a", "b"]),
        load_folder("toy", root=tree, cache_dir=None, size=16, folder="toy", domains=["c", "a", "b"]),
    )


def test_a_folder_of_parts_and_what_the_library_saves(tree: Path, tmp_path: Path) -> None:
    folder = load_folder("toy", root=tree, cache_dir=None, size=16, folder="toy")
    rows = rows_of(tree / "toy")
    for k, split in enumerate(("train", "test")):
        write(rows[k::2], tmp_path / "parts" / f"{split}-00000-of-00001.parquet", coded=True)
    assert_equal(from_table(tmp_path / "parts"), folder)
    library = hub_rows.import_module("datasets")
    table = library.load_dataset(str(tmp_path / "parts"), cache_dir=str(tmp_path / "own"))
    table.save_to_disk(str(tmp_path / "saved"))
    assert_equal(from_table(tmp_path / "saved"), folder)
    whole = library.concatenate_datasets(list(table.values()))
    whole.save_to_disk(str(tmp_path / "whole"))
    assert_equal(from_table(tmp_path / "whole"), folder)
    (arrow,) = (tmp_path / "whole").glob("*.arrow")
    assert_equal(from_table(arrow), folder)


def test_without_file_names_the_order_is_that_of_the_rows(tree: Path, tmp_path: Path) -> None:
    rows = [{**row, "image": row["image"]["bytes"]} for row in rows_of(tree / "toy")]
    data = from_table(write(rows, tmp_path / "toy.parquet"))
    folder = load_folder("toy", root=tree, cache_dir=None, size=16, folder="toy")
    assert [len(d.labels) for d in data.domains] == [8, 9, 7]
    cats = [row["image"] for row in rows if (row["domain"], row["label"]) == ("a", "cat")]
    for content, image in zip(cats, data.domains[0].images, strict=False):
        (tmp_path / "one.png").write_bytes(content)
        one = np.asarray(Image.open(tmp_path / "one.png").convert("RGB").resize((16, 16), Image.Resampling.BILINEAR))
        assert np.array_equal(one.transpose(2, 0, 1), image)
    assert sorted(image.tobytes() for image in data.domains[1].images) == sorted(
        image.tobytes() for image in folder.domains[1].images
    )


def test_numbers_are_sorted_as_numbers(tree: Path, tmp_path: Path) -> None:
    rows = rows_of(tree / "toy")
    numbered = [
        {**row, "label": {"cat": 10, "dog": 9, "emu": 1}[row["label"]], "domain": ord(row["domain"]) - 89}
        for row in rows
    ]
    data = from_table(write(numbered, tmp_path / "toy.parquet"))
    assert data.classes == ("1", "9", "10")
    assert [(d.name, len(d.labels)) for d in data.domains] == [("8", 8), ("9", 9), ("10", 7)]


def test_each_split_may_be_a_domain(tree: Path, tmp_path: Path) -> None:
    rows = rows_of(tree / "toy")
    for k, split in enumerate(("train", "test")):
        write(rows[k::2], tmp_path / "toy" / f"{split}.parquet")
    data = from_table(tmp_path / "toy", domain_column=None)
    assert {d.name: len(d.labels) for d in data.domains} == {"test": 12, "train": 12}


def test_the_table_is_opened_once(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later process, on a machine without network perhaps, finds order and pixels in the cache."""
    path = write(rows_of(tree / "toy"), tmp_path / "toy.parquet")
    first = from_table(path)
    monkeypatch.setattr(hub_rows, "import_module", lambda name: pytest.fail("opened again"))
    again = from_table(path)
    assert_equal(again, first)
    monkeypatch.undo()
    (kept,) = (tmp_path / "cache").glob("*.json")
    kept.write_text(kept.read_text().replace('"cat"', '"cow"'))
    assert from_table(path).classes == first.classes


def test_a_changed_copy_is_read_again(tree: Path, tmp_path: Path) -> None:
    rows = rows_of(tree / "toy")
    path = write(rows, tmp_path / "toy.parquet")
    first = from_table(path)
    write(rows[1:], path)
    assert sum(len(d.labels) for d in from_table(path).domains) == len(rows) - 1
    write(rows, path)
    os.utime(path, (1, 1))
    assert from_table(path).fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("own", "change", "words"),
    [
        (
            {"domain_column": "style"},
            {},
            r"no column 'style' for the domain, it has image, domain, label; write dataset\.domain_column=COLUMN, or null",
        ),
        ({"label_column": "y"}, {}, r"no column 'y' for the label, .*write dataset\.label_column=COLUMN$"),
        ({"image_column": "x"}, {}, r"no column 'x' for the image"),
        ({"image_column": "label"}, {}, r"column 'label' of .* must hold images or the bytes of their files"),
        ({}, {"label": None}, r"has nothing in column 'label' of row 3, counted from 0"),
        ({}, {"domain": None}, r"has nothing in column 'domain' of row 3"),
        ({}, {"image": None}, r"1 of 24 images cannot be read: .*holds no image"),
        ({}, {"image": {"bytes": None, "path": "/dev/zero"}}, "/dev/zero is no file"),
        ({}, {"image": {"bytes": b"<html>", "path": "x.png"}}, r"1 of 24 images cannot be read: .*x\.png"),
        ({}, {"label": "gnu"}, r"class 'gnu' of .* occurs in domain '.' only"),
        ({"domains": ["a"]}, {}, r"at least two domains"),
    ],
)
def test_a_table_that_does_not_do(tree: Path, tmp_path: Path, own: Any, change: Any, words: str) -> None:
    rows = rows_of(tree / "toy")
    rows[3] = {**rows[3], **change}
    with pytest.raises(DataError, match=words):
        from_table(write(rows, tmp_path / "toy.parquet"), **own)


def test_columns_of_another_kind(tree: Path, tmp_path: Path) -> None:
    rows = [{**row, "domain": 0.5} for row in rows_of(tree / "toy")]
    with pytest.raises(DataError, match=r"column .domain. of .* must hold names or whole numbers"):
        from_table(write(rows, tmp_path / "toy.parquet"))
    with pytest.raises(UnknownNameError, match="'d'"):
        from_table(write(rows_of(tree / "toy"), tmp_path / "toy.parquet"), domains=["a", "d"])


def test_files_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "toy.parquet").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"cannot read .*toy\.parquet: .*; look at dataset\.path"):
        from_table(tmp_path / "toy.parquet")
    (tmp_path / "toy.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"toy\.csv must be a \.parquet or \.arrow file"):
        from_table(tmp_path / "toy.csv")


def test_the_commit_of_the_hub_reaches_the_library(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = hub_rows.import_module("datasets")
    write(rows_of(tree / "toy"), tmp_path / "toy.parquet")
    original, asked = library.load_dataset, []

    def fetched(path: str, **own: Any) -> Any:
        asked.append((path, own.pop("revision"), own.pop("name")))
        return original("parquet", data_files=str(tmp_path / "toy.parquet"), **own)

    monkeypatch.setattr(library, "load_dataset", fetched)
    own = {"root": None, "cache_dir": tmp_path / "cache", "size": 16, "path": "org/toy", "subset": "small"}
    data = load_hub("toy", revision=COMMIT, **own)
    assert asked and set(asked) == {("org/toy", COMMIT, "small")}
    assert [d.name for d in data.domains] == ["a", "b", "c"]
    asked.clear()
    assert_equal(load_hub("toy", revision=COMMIT, **own), data)
    assert not asked


@pytest.mark.parametrize(
    ("own", "error", "words"),
    [
        ({"path": None}, ConfigError, r"dataset\.path cannot be left out"),
        ({"path": "a/b/c"}, DataError, r"no file or folder .*a/b/c; put the copy there"),
        (
            {"path": "org/toy"},
            ConfigError,
            rf"dataset\.revision must be a commit of org/toy .*got none; write dataset\.revision={COMMIT}",
        ),
        ({"path": "org/toy", "revision": "main"}, ConfigError, "40 hexadecimal digits, .*got main"),
        (
            {"path": "toy.parquet", "revision": COMMIT},
            ConfigError,
            r"dataset\.revision is a commit of the hub, but .* is a local copy",
        ),
        ({"path": "toy.parquet", "size": 4}, ConfigError, "got 4"),
    ],
)
def test_settings_that_contradict_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Any, error: type, words: str
) -> None:
    monkeypatch.setattr(module, "present_commit", lambda path: COMMIT)
    (tmp_path / "toy.parquet").write_bytes(b"")
    with pytest.raises(error, match=words):
        load_hub("toy", **{"root": tmp_path, "cache_dir": None, "size": 16, **own})


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str) -> Any:
        raise ConnectionError(name)

    monkeypatch.setattr(module, "import_module", offline)
    with pytest.raises(ConfigError, match=r"write dataset\.revision=COMMIT, as the page of its files shows it"):
        load_hub("toy", root=None, cache_dir=None, size=16, path="org/toy")


def test_without_the_library(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    path = write(rows_of(tree / "toy"), tmp_path / "toy.parquet")
    monkeypatch.setattr(hub_rows, "import_module", missing)
    with pytest.raises(MissingPackageError, match=r"quantdg\[datasets\]"):
        from_table(path)


def test_on_the_command_line(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(rows_of(tree / "toy"), tmp_path / "toy (1).parquet")
    words = ["dataset=hub", "dataset.path=toy (1).parquet", f"data.root={tmp_path}", f"data.cache={tmp_path / 'cache'}"]
    assert main(["prepare", *words]) == 0
    assert "hub: 24 images, 3 x 64 x 64" in capsys.readouterr().out
    assert main(["prepare", *words, "dataset.domain_column=style"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "has no column 'style' for the domain, it has image, domain, label" in said
    assert load(words).setups[0].name == "hub:toy (1)"


def test_a_copy_of_some_of_pacs(tmp_path: Path, real: Callable[[str], Path]) -> None:
    """Six images of each domain and class, as JPEG and PNG files."""
    source = real("PACS") / "PACS"
    for label in sorted(source.glob("*/*/")):
        for file in sorted(label.iterdir())[:6]:
            target = tmp_path / "PACS" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    folder = load_folder("pacs", root=tmp_path, cache_dir=None, size=16, folder="PACS")
    assert_equal(from_table(write(rows_of(tmp_path / "PACS"), tmp_path / "pacs.parquet")), folder)
