"""One table in every form: the same numbers as in its CSV; what a terminal and a pipe get."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from pathlib import Path

import pytest

from quantdg.bench.results.store import RunStore
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.reports.commands import report, verdict
from quantdg.reports.listing import column_parts, print_tables
from quantdg.reports.report import Report

NAME = "accuracy-pacs-cnn-small"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What quantdg report prints."""
    assert report([*words]) == 0
    return capsys.readouterr().out


def test_every_form_of_a_table_is_that_of_its_file(golden: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    table = Report.of(golden.root).table(NAME)
    root = str(golden.root)
    assert printed(capsys, root, "--table", NAME, "--format", "csv") == table.csv()
    assert printed(capsys, root, "--table", "accuracy", "--format", "latex") == table.latex()
    assert not (golden.root / "report").exists()


def test_json_has_numbers_as_numbers(golden: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    made = Report.of(golden.root)
    for name in (NAME, "size", "audit", "verdict-gain", "provenance"):
        found = json.loads(json.dumps(made.table(name).records(), allow_nan=False))
        lines = [*csv.DictReader(io.StringIO(made.table(name).csv()))]
        assert len(found) == len(lines) > 0
        for record, line in zip(found, lines, strict=True):
            assert record.keys() == line.keys()
            for key, value in record.items():
                if isinstance(value, float):
                    assert math.isclose(value, float(line[key]), rel_tol=1e-15)
                else:
                    assert ("" if value is None else str(value)) == line[key]
    found = json.loads(printed(capsys, str(golden.root), "--table", NAME, "--format", "json"))
    gain = next(r for r in found if r["what"] == "gain over float")
    assert (gain["mean"], gain["n"], gain["state"]) == (pytest.approx(2.0), 6, "")


def test_a_pipe_gets_aligned_text(golden: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, str(golden.root), "--table", "accuracy").splitlines()
    assert lines[0] == "Accuracy by target domain: pacs, cnn, protocol small"
    head, lsq = lines[2], next(line for line in lines if " lsq " in line and " iid " in line)
    assert head.index("selection") == lsq.index("iid")
    assert "83.0 ± 1.2" in lsq and "+2.00 ± 1.00" in lsq and "|" not in head


def test_a_terminal_gets_tables_as_wide_as_it_is(
    golden: RunStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub(r"\x1b\[\d*m", "", printed(capsys, str(golden.root), "--table", "accuracy"))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("algorithm   quantizer") == 3 and "pairs" in shown and "+2.00 ± 1.00" in shown


def test_columns_are_shared_out_with_the_names_in_each_part() -> None:
    assert column_parts([5, 5, 10, 10, 10], 2, 30) == [[0, 1, 2, 3], [0, 1, 4]]
    assert column_parts([5, 99, 4], 1, 30) == [[0, 1], [0, 2]]
    assert column_parts([9, 9], 2, 5) == [[0, 1]]


def test_full_lists_all_tables_but_the_latency_that_shows_nothing(
    golden: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, str(golden.root), "--full")
    assert "12 cells: 12 done" in shown and "Accuracy by target domain" in shown and "ms a call" not in shown
    assert "latency-pacs-cnn-small stands in the files alone: latency of dequantized float32 weights" in shown
    assert "ms a call" in printed(capsys, str(golden.root), "--table", "latency")
    assert (golden.root / "report" / "latency-pacs-cnn-small.csv").exists()


def test_verdict_in_words_as_text_or_markdown(golden: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([str(golden.root), "--full"]) == 0
    text = capsys.readouterr().out
    assert "Level 0.05" in text and "\n- lsq W7: +2.00 points" in text and "##" not in text
    assert verdict([str(golden.root), "--full", "--format", "md"]) == 0
    assert "## Verdict" in capsys.readouterr().out


def test_an_unknown_table_and_a_form_of_nothing_are_refused(golden: RunStore) -> None:
    made = Report.of(golden.root)
    near = r"no table named 'acuracy'; did you mean 'accuracy-pacs-cnn-small' or .* \(there are: "
    with pytest.raises(UnknownNameError, match=near):
        made.table("acuracy")
    with pytest.raises(ConfigError, match=r"a begins 2 names of tables; write one of accuracy-pacs-cnn-small, audit"):
        made.table("a")
    with pytest.raises(ConfigError, match="csv is the form of one table"):
        print_tables(made.measured, "csv")
    with pytest.raises(ConfigError, match="--format is the form of tables"):
        report([str(golden.root), "--format", "md"])


def test_a_table_is_written_into_a_page(golden: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n<!-- {NAME} -->\n<!-- end of {NAME} -->\n\nMore.\n")
    table = Report.of(golden.root).table(NAME)
    for _ in range(2):
        assert printed(capsys, str(golden.root), "--table", "accuracy", "--into", str(page)) == f"{NAME} in {page}\n"
        head, _, rest = page.read_text().partition(f"<!-- {NAME} -->\n\n")
        assert (head, rest) == ("# Mine\n\n", f"{table.markdown(2)}\n<!-- end of {NAME} -->\n\nMore.\n")
    for more in ([], ["--table", NAME, "--format", "csv"]):
        with pytest.raises(ConfigError, match="write --table NAME with it and no --format"):
            report([str(golden.root), "--into", str(page), *more])
