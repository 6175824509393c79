r"""The table of the field against numbers worked out by hand.

pacs, two domains; vlcs, one domain; two seeds; percent:

    float  pacs art 80 82, sketch 60 64: seed means 70, 73;  vlcs sun 50 53;  average 60, 63: 61.5 \pm 1.5
    lsq    pacs art 82 84, sketch 62 70: seed means 72, 77;  vlcs sun 51 54;  average 61.5, 65.5: 63.5 \pm 2
    gain   pacs 2, 2, 2, 6: 3;  vlcs 1, 1: 1;  mean 2, standard error over the two 1

The mean over the three domains would be another number (gain 7/3), as would be the mean over all pairs.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pytest import approx

from quantdg.bench.results.record import Record, Sizes
from quantdg.bench.results.store import RunStore
from quantdg.reports.frames.results import load
from quantdg.reports.page.page import render_html
from quantdg.reports.report import Report
from quantdg.reports.tables.field import field_numbers, field_tables
from quantdg.reports.tables.table import Table

Make = Callable[..., Record]
Write = Callable[..., None]
ACCURACIES = {
    ("pacs", "art", "float"): (0.80, 0.82),
    ("pacs", "sketch", "float"): (0.60, 0.64),
    ("vlcs", "sun", "float"): (0.50, 0.53),
    ("pacs", "art", "lsq"): (0.82, 0.84),
    ("pacs", "sketch", "lsq"): (0.62, 0.70),
    ("vlcs", "sun", "lsq"): (0.51, 0.54),
}
BYTES = {("pacs", "float"): 1000, ("pacs", "lsq"): 200, ("vlcs", "float"): 1000, ("vlcs", "lsq"): 300}
Cell = tuple[str, str, str, int]


@pytest.fixture
def write(store: RunStore, make: Make) -> Write:
    """Write the cells above but those to skip, with anything of a data set changed."""

    def written(skip: Iterable[Cell] = (), **change: dict[str, object]) -> None:
        for (dataset, target, quantizer), values in ACCURACIES.items():
            for seed, value in enumerate(values):
                if (dataset, target, quantizer, seed) not in skip:
                    sizes = Sizes(1000, BYTES[dataset, quantizer], 0, 0, 0, "")
                    rows = {"iid": value, "oracle": 0.99, "last": 0.01}
                    labels = {"dataset": dataset, "sizes": sizes, **change.get(dataset, {})}
                    store.write(make(target, seed, quantizer=quantizer, rows=rows, **labels))

    return written


def _table(store: RunStore) -> Table:
    (table,) = field_tables(load(store.root))
    return table


def _row(store: RunStore, quantizer: str = "lsq") -> dict[str, str]:
    text = _table(store).text
    return {str(k): str(v) for k, v in text[text["quantizer"] == quantizer].iloc[0].items()}


def test_by_hand(store: RunStore, write: Write) -> None:
    write()
    results = load(store.root)
    made = {(x.method[1], x.what, x.target): (x.mean, x.se, x.n) for x in field_numbers(results, results.line_ups[0])}
    assert made["float", "accuracy", "pacs"] == approx((71.5, 1.5, 2))
    assert made["float", "average", ""] == approx((61.5, 1.5, 2))
    assert made["lsq", "accuracy", "vlcs"] == approx((52.5, 1.5, 2))
    assert made["lsq", "average", ""] == approx((63.5, 2, 2))
    assert made["lsq", "gain over float", ""] == approx((2, 1, 2))
    assert made["lsq", "relative size", ""][0] == approx(0.25)
    assert ("float", "gain over float", "") not in made


def test_text_has_one_row_a_method_of_the_fair_selection(store: RunStore, write: Write) -> None:
    write()
    table = _table(store)
    columns = ["algorithm", "quantizer", "bits", "pacs", "vlcs", "average", "gain over float", "relative size"]
    assert list(table.text.columns) == columns
    assert table.text.to_numpy().tolist() == [
        ["erm", "float", "float", "71.5 ± 1.5", "51.5 ± 1.5", "61.5 ± 1.5", "", "1.000"],
        ["erm", "lsq", "W7", "74.5 ± 2.5", "52.5 ± 1.5", "63.5 ± 2.0", "+2.00 ± 1.00", "0.250"],
    ]
    assert table.labels == 3
    assert "Target domains: pacs 2, vlcs 1." in table.notes


def test_a_weight_average_is_a_row_of_its_own(store: RunStore, write: Write, make: Make) -> None:
    write()
    for seed in range(2):
        store.write(make("sun", seed, "coral", rows={"iid": 0.5, "swad": 0.6}, dataset="vlcs"))
    rows = _table(store).text.set_index(["algorithm", "selection"])
    assert rows.loc[("coral", "swad"), "vlcs"] == "60.0 ± 0.0"
    assert rows.loc[("coral", "swad"), "pacs"] == "not run"
    assert rows.loc[("coral", "swad"), "average"] == "— (1 of 2 sets)"
    assert {selection for _, selection in rows.index} == {"iid", "swad"}


def test_a_missing_cell_is_marked_and_takes_average_and_gain(store: RunStore, write: Write, make: Make) -> None:
    write(skip=[("pacs", "sketch", "lsq", 1)])
    assert _row(store)["pacs"] == "missing 1/4"
    store.write(make("sketch", 1, quantizer="lsq", status="failed", reason="diverged", dataset="pacs"))
    row = _row(store)
    assert row["pacs"] == "failed 1/4"
    assert row["vlcs"] == "52.5 ± 1.5"
    assert (row["average"], row["gain over float"]) == ("— (1 of 2 sets)", "—")
    assert _row(store, "float")["average"] == "61.5 ± 1.5"


def test_a_gap_in_float_takes_the_gain_alone(store: RunStore, write: Write) -> None:
    write(skip=[("vlcs", "sun", "float", 0), ("vlcs", "sun", "float", 1)])
    row = _row(store)
    assert row["average"] == "63.5 ± 2.0"
    assert row["gain over float"] == "— (1 of 2 sets)"


def test_other_seeds_of_one_data_set_leave_no_average_within_seeds(store: RunStore, write: Write) -> None:
    write(skip=[("vlcs", "sun", q, 1) for q in ("float", "lsq")])
    row = _row(store)
    assert row["vlcs"] == "51.0"
    assert (row["average"], row["gain over float"]) == ("— (seeds differ)", "—")


def test_bytes_that_one_data_set_lacks_leave_no_relative_size(store: RunStore, write: Write) -> None:
    write(vlcs={"sizes": None})
    assert _row(store)["relative size"] == "—"


def test_the_caption_says_in_what_data_sets_differ(store: RunStore, write: Write) -> None:
    write(pacs={"model": "resnet50", "protocol": "long", "settings": {"protocol": {"name": "long", "steps": 300}}})
    table = _table(store)
    assert table.title == "Accuracy by data set: resnet50 + cnn, protocol long + small"
    notes = " ".join(table.notes)
    assert "each is averaged and compared with its own: pacs: resnet50, long; vlcs: cnn, small." in notes
    assert "Settings that differ between data sets: steps 300 (pacs), 60 (vlcs)." in notes


def test_one_data_set_has_no_such_table(golden: RunStore) -> None:
    assert list(field_tables(load(golden.root))) == []


def test_first_among_the_tables_of_summary_report_and_page(store: RunStore, write: Write, tmp_path: Path) -> None:
    write()
    report = Report.of(store.root)
    assert report.measured[0].name == "field-cnn-small"
    assert [t.name.split("-")[0] for t in report.measured[1:3]] == ["accuracy", "robustness"]
    assert {"field-cnn-small.md", "field-cnn-small.csv", "field-cnn-small.tex"} <= {
        f.name for f in report.write(tmp_path)
    }
    page = render_html(report)
    assert 0 < page.index("Accuracy by data set: cnn") < page.index("Accuracy by target domain")


def test_csv_has_a_line_a_number(store: RunStore, write: Write) -> None:
    write(skip=[("vlcs", "sun", "lsq", 0)])
    lines = [*csv.DictReader(io.StringIO(_table(store).csv()))]
    found = {(x["quantizer"], x["what"], x["dataset"]): x for x in lines}
    assert float(found["float", "average", ""]["mean"]) == approx(61.5)
    assert found["lsq", "accuracy", "vlcs"]["state"] == "missing 1/2"
    assert found["lsq", "average", ""]["mean"] == ""
    assert len(lines) == 4 + 5


def test_every_number_leads_to_its_records(store: RunStore, write: Write) -> None:
    write()
    traces = _table(store).traces
    assert {at: len(keys) for at, keys in traces.items() if at[0] == 1} == {
        (1, "pacs"): 4, (1, "vlcs"): 2, (1, "average"): 6, (1, "gain over float"): 12,
    }  # fmt: skip


@pytest.fixture
def latex(store: RunStore, write: Write, make: Make) -> str:
    """A table with a gap, a loss and names that TeX would take for its own."""
    write(skip=[("pacs", "sketch", "lsq", 1)])
    for dataset, target in (("pacs", "art"), ("pacs", "sketch"), ("vlcs", "sun")):
        for seed in range(2):
            rows = {"iid": 0.3}
            labels = {"quantizer": "a_b$x^2 & 5%#~{c}\\d", "rows": rows, "dataset": dataset}
            store.write(make(target, seed, **labels))
    return _table(store).latex()


def test_latex_is_a_booktabs_tabular(latex: str) -> None:
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{tabular}{lllrrrrr}"
    assert [line for line in body[1:] if line.startswith("\\")] == [
        r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    rows = [line for line in body if line.startswith(" ")]
    assert len(rows) == 4
    for row in rows:
        assert row.endswith(r"\\")
        assert len(re.findall(r"(?<!\\)&", row)) == 7
        assert len(re.findall(r"(?<!\\)\$", row)) % 2 == 0
        assert row.isascii()
    assert "--- (1 of 2 sets)" in latex
    assert "$-$31.50 $\\pm$ 10.00" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine; the structure is tested above")
def test_latex_compiles(latex: str, tmp_path: Path) -> None:
    start = "\\documentclass{article}\\usepackage{booktabs}\\usepackage[landscape]{geometry}\\begin{document}\\tiny\n"
    (tmp_path / "paper.tex").write_text(f"{start}{latex}\\end{{document}}\n")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
