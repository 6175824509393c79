"""Two run folders paired by domain and seed: differences by hand, what only one has, what differs; and a paper's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import UnknownNameError
from quantdg.reports.compare.commands import compare

Make = Callable[..., Record]
Folders = tuple[str, str]
DOMAINS = [f"d{i}" for i in range(8)]


@pytest.fixture
def folders(tmp_path: Path, make: Make) -> Folders:
    """A, and B with another learning rate: lsq one point and i/10 higher on domain i, float equal, pact and coral apart."""
    stores = [RunStore(tmp_path / name, create=True) for name in "ab"]
    for side, store in enumerate(stores):
        made = {"provenance": {"versions": {"torch": f"2.1{side}"}, "machine": {"cpu": "X"}}}
        for i, target in enumerate(DOMAINS):
            for seed in range(2):
                base = 0.5 + 0.01 * seed
                lsq = base + side * (0.01 + 0.001 * i)
                options = {"settings": {"protocol": {"name": "small", "steps": 60, "lr": (0.1, 0.2)[side]}}, **made}
                store.write(make(target, seed, rows={"iid": base, "last": base}, **options))
                store.write(make(target, seed, quantizer="lsq", rows={"iid": lsq, "last": base}, **options))
        store.write(make("d0", 2, algorithm="coral", quantizer="pact", rows={"iid": 0.5}, **options) if side else
                    make("d0", 0, quantizer="dorefa", rows={"iid": 0.5}, **options))  # fmt: skip
    return str(stores[0].root), str(stores[1].root)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What quantdg compare prints."""
    assert compare([*words]) == 0
    return capsys.readouterr().out


def test_differences_are_those_by_hand(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, *folders, "--format", "json"))
    lsq = next(r for r in rows if (r["quantizer"], r["selection"]) == ("lsq", "iid"))
    gains = [1 + 0.1 * i for i in range(8)]
    interval = stats.t.interval(0.95, 7, loc=1.35, scale=stats.sem(gains))
    assert (lsq["a"], lsq["b"], lsq["difference"]) == pytest.approx((50.5, 51.85, 1.35))
    assert (lsq["low"], lsq["high"]) == pytest.approx(interval)
    assert lsq["p"] == pytest.approx(2 / 2**8)
    assert lsq["adjusted"] == pytest.approx(4 / 2**8)
    assert (lsq["answer"], lsq["domains"], lsq["seeds"], lsq["pairs"], lsq["equal"]) == ("B higher", 8, 2, 16, 0)
    same = next(r for r in rows if (r["quantizer"], r["selection"]) == ("float", "iid"))
    assert (same["answer"], same["equal"], same["difference"]) == ("equal", 16, 0)
    assert {(r["quantizer"], r["selection"]) for r in rows} == {
        (q, s) for q in ("float", "lsq") for s in ("iid", "last")
    }


def test_the_terminal_says_what_differs_in_40_lines(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, *folders)
    assert len(shown.splitlines()) <= 40 and max(map(len, shown.splitlines())) <= 120
    assert "protocol.lr: 0.1 in A, 0.2 in B" in shown and "versions.torch: 2.10 in A, 2.11 in B" in shown
    assert "only in A: pacs erm dorefa W7" in shown
    assert "only in B: pacs coral pact W7" in shown and "only in B: pacs seed 2" in shown
    assert "+1.35" in shown and "B higher" in shown and "2 more rows, of other selections too: --full" in shown
    assert shown.endswith("answer: sign-flip test with Holm, level 0.05\n")
    full = printed(capsys, *folders, "--full")
    assert "B against A by target domain" in full and "What only one folder has" in full


def test_pairs_are_compared_where_both_have_them(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    first = RunStore(Path(folders[0]))
    gone = [r for r in first.records() if isinstance(r, Record) and r.labels.quantizer == "lsq"]
    for record in gone:
        if record.labels.target == "d7" or (record.labels.target, record.labels.seed) == ("d6", 1):
            first.delete(record.key)
    rows = json.loads(printed(capsys, *folders, "--format", "json"))
    lsq = next(r for r in rows if (r["quantizer"], r["selection"]) == ("lsq", "iid"))
    assert (lsq["answer"], lsq["domains"], lsq["pairs"], lsq["low"], lsq["p"]) == ("incomplete", 7, 13, None, None)
    assert lsq["difference"] == pytest.approx((2 * sum(1 + 0.1 * i for i in range(6)) + 1.6) / 13)
    pairs = json.loads(printed(capsys, *folders, "--full", "--format", "json"))["pairs"]
    found = [p for p in pairs if (p["quantizer"], p["selection"], p["target"]) == ("lsq", "iid", "d6")]
    assert [(p["seed"], round(p["difference"], 9)) for p in found] == [(0, 1.6)]


def test_folders_without_a_common_row_say_so(tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        RunStore(tmp_path / name, create=True).write(make(rows={"iid": 0.5}, dataset=name))
    shown = printed(capsys, str(tmp_path / "one"), str(tmp_path / "two"))
    assert "No row is in both folders." in shown and "only in B: all of two cnn small" in shown


def test_a_paper_stands_beside_what_was_measured(
    tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(tmp_path / "runs", create=True)
    for target in ("art_painting", "cartoon", "photo", "sketch"):
        store.write(make(target, rows={"iid": 0.8}, model="resnet50"))
        store.write(make(target, quantizer="lsq", rows={"iid": 0.85}, model="resnet50"))
    rows = json.loads(printed(capsys, str(store.root), "qtdog", "--format", "json"))
    lsq = next(r for r in rows if (r["table"], r["method"], r["target"]) == ("1", "QT-DoG", ""))
    assert (lsq["accuracy"], lsq["measured"], lsq["difference"]) == pytest.approx((87.8, 85.0, -2.8))
    shown = printed(capsys, str(store.root), "qtdog")
    assert "rows have a counterpart" in shown and "not paired" in shown and "Measured with resnet50, small." in shown
    assert len(shown.splitlines()) <= 40 and max(map(len, shown.splitlines())) <= 120
    with pytest.raises(UnknownNameError, match="no run folder or paper named 'qtdg'; did you mean 'qtdog'"):
        compare([str(store.root), "qtdg"])
