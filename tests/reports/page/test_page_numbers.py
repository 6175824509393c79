"""Each number that a table of the page shows is one of its row in the CSV file, rounded as far as it is written."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import pytest

from quantdg.bench.results.record import Record, Sizes
from quantdg.bench.results.store import RunStore
from quantdg.reports.answer.answer import answer_of
from quantdg.reports.page.page import write_html
from quantdg.reports.report import Report
from quantdg.reports.tables.table import Table

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
IN_WORDS = ("provenance", "problems")
"""Tables of settings and reasons, whose digits are parts of sentences."""
Row = dict[str, str]
Written = tuple[Report, str, dict[str, Table]]


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, make_many: Callable[..., Record], site: Callable, make_latency: Callable
) -> Written:
    """The report of two data sets, two algorithms, an averaging, a control, sizes that differ, audits, latencies, a failure."""
    folder = tmp_path_factory.mktemp("several")
    store = RunStore(folder / "runs", create=True)
    for at, (dataset, target, algorithm, quantizer) in enumerate(
        product(("pacs", "digits"), ("a", "b", "c"), ("erm", "coral"), ("float", "lsq", "nni", "freeze"))
    ):
        rows = {"iid": 0.5 + at % 7 / 100, "swad": 0.6 + at % 5 / 100}
        sizes = Sizes(1000, 250 + at % 3 * 1000, 200, 10, 40, "")
        audit = {"conv": site(noise_to_signal=0.01 * (1 + at % 4))}
        own = {"sizes": sizes, "audit": audit, "target_count": 1000}
        record = make_many(target, 0, algorithm, quantizer, rows, dataset=dataset, **own)
        store.write(record)
        if target == "a":
            store.write_latency(make_latency(record, median_ms=1 + at / 10))
    store.write(make_many("a", 0, "erm", "apot", status="failed", reason="no room"))
    report = Report.of(store.root)
    page = write_html(report, folder / "page.html").read_text(encoding="utf-8")
    return report, page, {table.name: table for table in (*report.judged, *report.measured, *report.reported)}


def file_of(table: Table) -> list[Row]:
    """The lines of a table's CSV file."""
    return [*csv.DictReader(io.StringIO(table.csv()))]


def shown(page: str) -> Iterator[tuple[str, list[Row]]]:
    """Name and rows of each table of the page, as a reader sees them."""
    for name, body in re.findall(r'id="table-([^"]*)"(.*?)</table>', page, re.DOTALL):
        heads = [_plain(text) for text in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', body, re.DOTALL)]
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[1:]]
        yield name, [dict(zip(heads, map(_plain, row), strict=True)) for row in rows if row]


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


def lines_of(table: Table, row: Row) -> list[Row]:
    """The lines of a table's file that have the names of a row of the page."""
    own = file_of(table)
    for name in [*row][: table.labels]:
        own = [line for line in own if line.get(name, "").lstrip("'") == row[name]] or own
    return own


def has(lines: list[Row], text: str) -> bool:
    """Whether a number of these lines, as it is, as a percentage or for each cell, is written so, or their count."""
    digits, _, power = text.partition("e")
    half = 0.5001 * 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    wanted = float(text.replace(",", ""))
    if text == str(len(lines)):
        return True
    for line in lines:
        found = [float(part.replace(",", "")) for value in line.values() for part in NUMBER.findall(value)]
        cells = float(line["n"]) if line.get("n", "").isdigit() and line["n"] != "0" else math.inf
        if any(abs(wanted - value * factor) <= half for value in found for factor in (1, 100, 1 / cells)):
            return True
    return False


def strangers(page: str, tables: Mapping[str, Table]) -> tuple[list[tuple[str, str, str]], int]:
    """The numbers of the page that its files do not have, and how many were looked for."""
    missing, count = [], 0
    for name, rows in shown(page):
        for row in rows if name not in IN_WORDS else ():
            own = lines_of(tables[name], row)
            values = [*row.items()][tables[name].labels :]
            numbers = [(head, text) for head, value in values if value[:1] != "<" for text in NUMBER.findall(value)]
            count += len(numbers)
            missing += [(name, head, text) for head, text in numbers if not has(own, text)]
    return missing, count


def test_each_number_on_the_page_is_the_csv_s(written: Written) -> None:
    _, page, tables = written
    missing, count = strangers(page, tables)
    assert missing == []
    assert {name.partition("-")[0] for name in tables} >= {"accuracy", "audit", "field", "latency", "published", "size"}
    assert count > 1000


def test_a_number_that_is_another_s_is_seen(written: Written) -> None:
    _, page, tables = written
    at = page.index('id="table-accuracy-')
    wrong, changed = re.subn(r">(\d\d)\.(\d)", r">1\1.\2", page[at:], count=1)
    assert changed == 1
    assert len(strangers(page[:at] + wrong, tables)[0]) == 1


def test_card_and_controls_have_the_numbers_of_the_csv(written: Written) -> None:
    report, page, tables = written
    answer = answer_of(report.verdict, report.results)
    assert answer is not None
    gains = [
        float(line["mean"])
        for line in file_of(tables[f"verdict-gain-{answer.scope.file}"])
        if line["algorithm"] == answer.judged.algorithm and line["mean"]
    ]
    said = re.findall(r'<p class="plain">(.*?)</p>', page)[0]
    assert f"{min(gains):+.2f}" in said
    assert f"{max(gains):+.2f}" in said
    body = page.partition('id="m-beyond"')[2].partition("</table>")[0]
    controls = tables.get(f"verdict-controls-{answer.scope.file}")
    lines = file_of(controls) if controls else []
    beyond = [f"{float(x['mean']):+.2f}" for x in lines if x["algorithm"] == answer.judged.algorithm and x["mean"]]
    assert sorted(re.findall(r"<b>(.*?)</b>", body)) == sorted(beyond)
