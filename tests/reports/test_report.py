"""The written report: complete, the same bytes from the same records, safe with any name, without torch."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import RecordError
from quantdg.reports.commands import _figure_forms
from quantdg.reports.figures import rendering
from quantdg.reports.report import Report
from quantdg.reports.text import escape

Make = Callable[..., Record]
HOSTILE = "a|b\n<script>alert(1)</script> $x_1$ \\input{x} % & # ~ ^ {} `c` *d* [e](f) \x1b[31m 漢"


def _bytes(files: list[Path]) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in files}


def test_files(golden: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report.of(golden.root)
    files = report.write(tmp_path / "out")
    assert files[0].name == "report.md"
    stems = {"accuracy", "size", "latency", "audit"}
    names = {f"{s}-pacs-cnn-small{e}" for s in stems for e in (".md", ".csv", ".tex")}
    names |= {
        f"figure-{kind}-pacs-cnn-small{e}"
        for kind in ("gain", "gain-by-noise", "size", "latency")
        for e in (".png", ".svg", ".pdf")
    }
    assert names <= {file.name for file in files}
    text = files[0].read_text()
    for expected in (
        "12 cells: 12 done",
        "83.0 ± 1.2",
        "torch",
        "2.15.0",
        "commit",
        "steps 60",
        "gain-pacs-cnn-small.svg",
    ):
        assert expected in text
    assert len([*(tmp_path / "out").glob("*.png")]) == 4
    monkeypatch.setattr(rendering, "LARGE", 0)
    assert len(report.write(tmp_path / "out")) == len(files) - 4
    assert not [*(tmp_path / "out").glob("*.png")]  # none is left beside a figure that is another now
    assert _figure_forms(files) == "SVG, PDF and PNG"
    assert _figure_forms([*files, tmp_path / "figure-a.b.svg"]) == "SVG, PDF and PNG (1 too large for PNG)"


def test_same_records_same_bytes_whatever_order_they_were_written_in(
    golden: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = _bytes(Report.of(golden.root).write(tmp_path / "one"))
    other = RunStore(tmp_path / "other", create=True)
    for record in reversed([*golden.records()]):
        assert isinstance(record, Record)
        other.write(record)
    for path in (golden.root / "latency").glob("*"):
        (other.root / "latency").mkdir(exist_ok=True)
        (other.root / "latency" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert _bytes(Report.of(other.root).write(tmp_path / "two")) == once


def test_summary_has_the_tables_of_the_report(golden: RunStore, tmp_path: Path) -> None:
    summary = Report.of(golden.root).summary()
    report = Report.of(golden.root).write(tmp_path / "out")[0].read_text()
    rows = [line for line in summary.splitlines() if line.startswith("|")]
    assert len(rows) > 10
    assert all(row in report for row in rows)


def test_csv_is_full_precision_and_machine_readable(golden: RunStore, tmp_path: Path) -> None:
    Report.of(golden.root).write(tmp_path)
    with (tmp_path / "accuracy-pacs-cnn-small.csv").open() as file:
        lines = [*csv.DictReader(file)]
    gain = next(x for x in lines if x["what"] == "gain over float" and x["selection"] == "iid")
    assert (float(gain["mean"]), float(gain["se"]), gain["n"]) == (pytest.approx(2), pytest.approx(1), "6")


def test_hostile_names_break_nothing(store: RunStore, make: Make, tmp_path: Path) -> None:
    for quantizer in ("float", HOSTILE):
        for target in ("art", HOSTILE):
            record = make(target, quantizer=quantizer, rows={"iid": 0.5, HOSTILE: 0.4}, dataset=HOSTILE)
            store.write(record)
    store.write(make("art", 1, quantizer=HOSTILE, status="failed", reason=HOSTILE, dataset=HOSTILE))
    files = Report.of(store.root).write(tmp_path / "out")
    text = files[0].read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1
    assert sum(line.startswith("|") for line in text.splitlines()) > 10
    for file in files:
        assert file.parent == tmp_path / "out"
        if file.suffix == ".tex":
            body = "".join(line for line in file.read_text().splitlines(True) if not line.startswith("%"))
            assert "\\input{" not in body
            assert not re.search(r"(?<!\\)\$x", body)


def test_a_name_that_looks_like_a_formula_does_not_run_in_a_spreadsheet() -> None:
    assert escape.csv_cell("=cmd|calc") == "'=cmd|calc"
    assert escape.csv_cell(-1.5) == -1.5
    assert escape.csv_cell("lsq") == "lsq"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "漢", "A B"])
def test_slug_is_a_plain_file_name(name: str) -> None:
    assert escape.slug(name).replace("-", "a").isalnum()
    assert escape.slug(name).isascii()


def test_sections_whose_names_slug_alike_get_files_of_their_own(store: RunStore, make: Make, tmp_path: Path) -> None:
    for dataset in ("a b", "a-b"):
        store.write(make(rows={"iid": 0.5}, dataset=dataset))
    names = [f.name for f in Report.of(store.root).write(tmp_path)]
    assert len(names) == len(set(names))
    assert len([n for n in names if n.startswith("accuracy") and n.endswith(".csv")]) == 2


def test_an_empty_run_folder_gives_a_report_that_says_so(store: RunStore, tmp_path: Path) -> None:
    assert "No cells yet." in Report.of(store.root).write(tmp_path / "out")[0].read_text()
    assert "No cells yet." in Report.of(store.root).summary()


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"is not a run folder.*give the folder of a quantdg run"):
        Report.of(tmp_path)


def test_reports_never_import_torch() -> None:
    code = (
        "import sys, pkgutil, importlib, quantdg.reports as r\n"
        "for m in pkgutil.walk_packages(r.__path__, 'quantdg.reports.'): importlib.import_module(m.name)\n"
        "assert 'quantdg.reports.report' in sys.modules\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
