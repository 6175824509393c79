"""A page for each cell: it holds what the record holds, is reached from the report's page, and stays away from large runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantdg.bench.results.confusion import MOST_CLASSES, Confusion
from quantdg.bench.results.deployment import deployments
from quantdg.bench.results.record import Record, fingerprint
from quantdg.bench.results.store import RunStore, Unreadable
from quantdg.reports.commands import report
from quantdg.reports.page import cell_pages
from quantdg.reports.page.cell import CellPage, cell_page
from quantdg.reports.page.cell_pages import render_cell, write_cell_pages
from quantdg.reports.page.cell_tables import CellTable
from quantdg.reports.page.curve import curve_of

Make = Callable[..., Record]
OLD = Path(__file__).parents[2] / "bench" / "results" / "schema1" / "a"
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)> & ${x} {{ 7 * 7 }}{% x %} 漢"


def lsq() -> Record:
    """A real record, of version 0.3."""
    return next(r for r in RunStore(OLD).records() if isinstance(r, Record) and r.labels.quantizer == "lsq")


def table(page: CellPage, title: str) -> CellTable:
    return next(own for own in page.tables if own.title == title)


def test_every_number_of_the_record_is_there() -> None:
    record = lsq()
    page = cell_page(record)
    assert page.accuracy == f"{100 * record.rows['iid'].target_in:.2f}"
    selections = table(page, "Accuracy by selection")
    assert [row[1] for row in selections.rows] == [str(row.step) for row in record.rows.values()]
    assert [row[2] for row in selections.rows] == [f"{100 * row.target_in:.2f}" for row in record.rows.values()]
    assert len(table(page, "Checkpoints").rows) == len(record.curve) > 1
    audit = table(page, "Audit by layer")
    assert [row[0] for row in audit.rows] == list(record.audit)
    site = record.audit[audit.rows[0][0]]
    assert audit.rows[0][1:] == [f"{v:.4g}" if isinstance(v, float) else str(v) for v in site.values() if v is not None]
    assert record.sizes is not None
    assert table(page, "Size").rows[1][1] == f"{record.sizes.packed_file:,}"
    shown = {row[0]: row[1] for own in page.tables if own.title.startswith("Settings") for row in own.rows}
    assert shown["quantizer.lsq.spec.weight_bits"] == "7"
    assert shown["seed" if "seed" in shown else "protocol.steps"]
    text = render_cell(record, [], "../index.html")
    assert "quantdg run dataset=digits" in text
    assert 'href="../index.html"' in text
    assert all(name in text for name in record.audit)


def test_the_confusion_is_there_with_the_share_of_each_class_that_was_right() -> None:
    labels, predicted = np.array([0, 0, 0, 2, 2]), np.array([0, 1, 1, 2, 0])
    page = cell_page(replace(lsq(), confusion=Confusion.of(["cat", "dog", "elk"], labels, predicted)))
    shown = table(page, "Confusion of classes on the target")
    assert shown.columns == ["true class", "cat", "dog", "elk", "right %"]
    assert [list(row) for row in shown.rows] == [
        ["cat", "1", "2", "0", "33.3"],
        ["dog", "0", "0", "0", "—"],
        ["elk", "1", "0", "1", "50.0"],
    ]
    many = [f"class {i}" for i in range(MOST_CLASSES + 1)]
    longer = table(cell_page(replace(lsq(), confusion=Confusion.of(many, labels, predicted))), shown.title)
    assert list(longer.rows[2]) == ["class 2", "1", "2", "50.0"]
    assert "not recorded" in table(cell_page(lsq()), shown.title).notes[0]


def test_what_is_not_the_default_comes_before_what_is() -> None:
    titles = [own.title for own in cell_page(lsq()).tables]
    assert titles.index("Settings that are not the default") < titles.index("Settings that are the default")


def test_the_curve_has_a_point_for_each_checkpoint_at_its_height() -> None:
    curve = curve_of([10, 20, 40], {"source": [0.5, 0.6, 0.7], "target": [0.3, 0.5, 0.5]})
    assert curve is not None
    points = {name: [tuple(map(float, p.split(","))) for p in line.split()] for name, line in curve.lines.items()}
    x, y = zip(*points["source"], strict=True)
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(1 / 3, abs=0.001)
    at = {tick.text: tick.at for tick in curve.up}
    assert [tick.text for tick in curve.up] == ["28", "39", "50", "61", "72"]
    assert points["target"][1][1] == pytest.approx(at["50"], abs=0.1)
    assert points["source"][0] == (points["source"][0][0], points["target"][1][1])
    assert y[0] > y[1] > y[2]
    assert curve_of([10], {"source": [0.5]}) is None


def test_a_failed_cell_says_why_and_a_record_of_another_form_loses_a_table_only(make: Make) -> None:
    failed = make(status="failed", reason="out of memory", log="")
    text = render_cell(failed, [], "x.html")
    assert "failed: out of memory" in text
    assert "No command: " in text
    odd = replace(lsq(), plan={"skipped": [1]}, curve=[{"step": 1}])
    page = cell_page(odd)
    assert page.curve is None
    assert [own.notes[0].split(":")[0] for own in page.tables if own.notes and "cannot" in own.notes[0]] == [
        "cannot be read"
    ] * 2
    assert table(page, "Audit by layer").rows


def test_hostile_names_are_text(make: Make) -> None:
    record = make(HOSTILE, 0, HOSTILE, HOSTILE, {"iid": 0.5, HOSTILE: 0.4}, dataset=HOSTILE, protocol=HOSTILE)
    text = render_cell(record, [], "x.html")
    assert not re.search(r"<(img|script)", text)
    assert "&lt;img src=x" in text
    settings = {**lsq().settings, "target": HOSTILE}
    own = render_cell(replace(lsq(), key=fingerprint(settings), settings=settings), [], "x.html")
    assert not re.search(r"<(img|script)", own)
    assert "quantdg run" in own


def test_the_report_writes_them_and_its_page_leads_there(
    golden: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sorted(r.key for r in golden.records() if isinstance(r, Record))
    (tmp_path / "cells").mkdir()
    stale, other = tmp_path / "cells" / "0123456789abcdef.html", tmp_path / "cells" / "notes.html"
    stale.touch(), other.touch()
    report([str(golden.root), "--out", str(tmp_path)])
    assert f"{len(keys)} pages of cells in " in capsys.readouterr().out
    assert sorted(path.stem for path in (tmp_path / "cells").glob("*.html")) == sorted([*keys, "notes"])
    assert 'data-cells="cells"' in (tmp_path / "index.html").read_text()
    assert 'href="../index.html"' in (tmp_path / "cells" / f"{keys[0]}.html").read_text()
    monkeypatch.setattr(cell_pages, "MOST", len(keys) - 1)
    report([str(golden.root), "--out", str(tmp_path)])
    assert "data-cells" not in (tmp_path / "index.html").read_text().partition("<script>")[0]
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["notes.html"]
    assert "pages of cells" not in capsys.readouterr().out
    assert write_cell_pages(golden.root, tmp_path / "cells", tmp_path / "index.html", which="all") == len(keys)
    assert write_cell_pages(golden.root, tmp_path / "cells", tmp_path / "index.html", which="none") == 0


def test_the_same_record_gives_the_same_bytes() -> None:
    made: list[Any] = [render_cell(lsq(), [], "x.html") for _ in range(2)]
    assert made[0] == made[1]


def test_a_described_file_comes_with_the_code_that_loads_it(golden: RunStore, tmp_path: Path) -> None:
    key = next(r.key for r in golden.records() if isinstance(r, Record))
    (golden.root / "deploy").mkdir(exist_ok=True)
    (golden.root / "deploy" / f"{key}.onnx.json").write_text("{}")
    write_cell_pages(golden.root, tmp_path, tmp_path / "index.html")
    text = (tmp_path / f"{key}.html").read_text()
    assert f"onnxruntime.InferenceSession(&#34;deploy/{key}.onnx&#34;)" in text
    assert sum("InferenceSession" in path.read_text() for path in tmp_path.glob("*.html")) == 1
    assert not [found for found in deployments(golden.root) if isinstance(found, Unreadable)]
