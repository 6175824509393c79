"""A published folder: read again it gives the same bytes, its card is valid, and it mixes with nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from quantdg.bench.results.store import RunStore
from quantdg.core.errors import ConfigError
from quantdg.reports.commands import publish, report, verdict

pytest.importorskip("pyarrow")
Published = tuple[RunStore, Path]


@pytest.fixture
def published(golden: RunStore, tmp_path: Path) -> Published:
    """A run folder and what was published of it."""
    assert publish([str(golden.root), "--to", str(tmp_path / "out"), "--license", "cc-by-4.0"]) == 0
    return golden, tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_card(folder: Path) -> None:
    """The card is one that the hub reads, and its configuration leads to the numbers."""
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(folder / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "cc-by-4.0" and data["task_categories"] == ["image-classification"]
    assert "domain-generalization" in data["tags"]
    (config,) = data["configs"]
    rows = pd.read_parquet(folder / config["data_files"])
    assert config["default"] and data["size_categories"] == ["n<1K"] and 100 < len(rows) < 1000
    assert "results on pacs" in card.text and "**not decidable** on 1 data set, 2 domains, 3 seeds" in card.text


def test_a_published_folder_read_again_gives_the_same_bytes(
    published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = published
    assert {
        "README.md",
        "records.tar.xz",
        "verdict.json",
        "report/index.html",
        "report/accuracy-pacs-cnn-small.csv",
    } <= set(contents(folder))
    before = contents(folder)
    assert report([str(folder), "--cells", "none"]) == 0
    assert contents(folder) == before
    capsys.readouterr()
    assert verdict([str(folder), "--json"]) == 0
    assert capsys.readouterr().out == (folder / "verdict.json").read_text()
    check_card(folder)


def test_a_second_publication_leaves_nothing_of_the_first(published: Published) -> None:
    golden, folder = published
    (folder / ".git").mkdir()
    (golden.root / "latency").rename(golden.root.parent / "latency")
    assert publish([str(golden.root), "--to", str(folder)]) == 0
    names = set(contents(folder))
    assert "report/size-pacs-cnn-small.csv" in names and not any("latency" in name for name in names)
    assert publish([str(golden.root), "--to", str(folder), "--only-records"]) == 0
    assert set(contents(folder)) == {"README.md", "records.tar.xz", "verdict.json"} and (folder / ".git").is_dir()


def test_what_is_there_is_not_mixed_with_records(golden: RunStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--to must not be a run folder"):
        publish([str(golden.root), "--to", str(golden.root)])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "README.md").write_text("of the repository")
    with pytest.raises(ConfigError, match=r"published before, .* holds README.md; move that or write another folder"):
        publish([str(golden.root), "--to", str(tmp_path / "home")])
    assert (tmp_path / "home" / "README.md").read_text() == "of the repository"
