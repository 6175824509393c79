"""Numbers of papers: read from files, checked, and shown beside what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantdg.bench.experiment.offers import own_files
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import DataError
from quantdg.reports.frames.results import load
from quantdg.reports.tables import published
from quantdg.reports.tables.papers import papers, read_paper

HEAD = """# title: Reported: A
# source: B
# note: C: d
table,dataset,target,model,method,algorithm,quantizer,bits,selection,setting,on,accuracy,standard_error
"""


def test_published_numbers_agree_with_the_papers_own_averages() -> None:
    """Averages as printed, over data sets and over domains; the three that the paper itself has wrong are not among them."""
    by_name = {paper.name: paper.accuracies for paper in papers()}
    assert by_name.keys() == {"domainbed", "qtdog", "swad"}

    def mean(paper: str, table: str, method: str, **where: str) -> float:
        rows = (r for r in by_name[paper] if (r.table, r.method) == (table, method))
        found = [r.accuracy for r in rows if all(getattr(r, name) == value for name, value in where.items())]
        return round(float(np.mean(found)), 2)

    printed = {
        "IRM": 62.5,
        "CORAL": 64.1,
        "SWAD": 66.9,
        "QT-DoG": 66.2,
        "EoQ of 5": 68.4,
        "SagNet": 64.2,
        "DiWA of 60": 68.0,
    }
    for method, average in printed.items():
        assert mean("qtdog", "1", method) == pytest.approx(average, abs=0.051), method
    for method, average in {"ERM": 67.7, "SMA": 71.6, "QT-DoG": 71.8, "EoA": 72.7, "EoQ of 5": 72.9}.items():
        assert mean("qtdog", "11", method) == pytest.approx(average, abs=0.1), method
    for method, average in {"ERM": 84.7, "QT-DoG": 87.675, "SWAD": 88.1, "EoQ": 89.35}.items():
        assert mean("qtdog", "7", method) == pytest.approx(average, abs=0.051), method
    assert mean("qtdog", "8", "QT-DoG") == 50.8
    assert mean("qtdog", "6", "QT-DoG") == pytest.approx(70.6, abs=0.051)
    assert mean("swad", "main", "ERM") == pytest.approx(64.2, abs=0.051)
    assert mean("swad", "README", "SWAD", selection="swad_reference") == pytest.approx(88.135, abs=0.01)
    assert mean("domainbed", "RotatedMNIST", "ERM") == pytest.approx(98.0, abs=0.051)
    assert mean("domainbed", "ColoredMNIST", "IRM", selection="oracle") == pytest.approx(67.7, abs=0.11)
    for data, average in {
        "pacs": 85.5,
        "vlcs": 77.5,
        "officehome": 66.5,
        "terraincognita": 46.1,
        "domainnet": 40.9,
    }.items():
        found = [
            r
            for r in by_name["domainbed"]
            if (r.table, r.method, r.selection) == ("main", "ERM", "iid") and r.dataset == data
        ]
        assert [r.accuracy for r in found if not r.target] == [average]
        assert np.mean([r.accuracy for r in found if r.target]) == pytest.approx(average, abs=0.051)


def test_counterparts_are_parts_that_there_are() -> None:
    """A name that no record can have would leave a row without a number for ever, and quietly."""
    known = {
        group: set(own_files(group)) for group in ("algorithm", "transform", "step_rule", "quantizer", "averaging")
    }
    for row in (row for paper in papers() for row in paper.accuracies if row.algorithm):
        algorithm, *further = row.algorithm.split("+")
        assert algorithm in known["algorithm"]
        assert set(further) <= known["transform"] | known["step_rule"]
        assert row.quantizer in known["quantizer"]
        assert row.selection in {"iid", "last", "oracle"} | known["averaging"]
    for row in (row for paper in papers() for row in paper.accuracies if not row.algorithm):
        assert (row.quantizer, row.bits, row.selection) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table,dataset\n", r"other.csv must begin with the lines '# title: ...' and '# source: ...', got \[\]"),
        ("# title: A\n# source: B\ntable,dataset\n", r"must have the columns table,dataset,target,.*got \['table', 'd"),
        (HEAD + "1,pacs,,m,A,erm,lsq,W7,iid,,,0.9x,\n", r"its accuracy is a number, got \['1', 'pacs'"),
        (HEAD + "1,pacs,,m,A,erm,lsq,W7,iid,,,87.0,0.2,x\n", r"a line has 13 values"),
        (HEAD + "1,pacs,,m,A,erm,lsq,W7\n", r"a line has 13 values"),
        (HEAD + "1,pacs,,m,A,erm,lsq,W7,iid,,,870,\n", r"accuracy must be from 0 to 100 percent, got 870"),
        (HEAD + "1,pacs,,m,A,erm,lsq,W7,iid,,train,87,\n", r"on is empty or source .* got 'train' and ''"),
        (
            HEAD + "1,pacs,,m,A,erm,lsq,W7,iid,seed=1,,87,\n",
            r"setting is empty or one of start, .* got '' and 'seed=1'",
        ),
    ],
)
def test_a_file_of_published_numbers_that_cannot_be_right_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_paper("other", text)


def test_a_second_paper_is_a_second_file() -> None:
    text = (
        f"{HEAD}1,pacs,art,cnn,A,coral,pact,W4,last,,,80.5,\n1,vlcs,,cnn,A,erm,lsq,W7,iid,start=0.2,source,77.0,0.2\n"
    )
    paper = read_paper("other", text)
    assert (paper.name, paper.title, paper.source, paper.notes) == ("other", "Reported: A", "B", ("C: d",))
    assert paper.accuracies[0] == ("1", "pacs", "art", "cnn", "A", "coral", "pact", "W4", "last", "", "", 80.5, None)
    assert paper.accuracies[1].standard_error == 0.2


def rows_of(table: str, root: Path, **where: str) -> dict[str, str]:
    """Measured, by target, of one method of a table of QT-DoG."""
    found = {t.name: t.text for t in published.published_tables(load(root))}["published-qtdog"]
    for column, value in {"table": table, **where}.items():
        found = found[found[column.replace("_", " ")] == value]
    return found.set_index("target")["measured"].to_dict()


def test_measured_stands_beside_reported(golden: RunStore) -> None:
    assert rows_of("1", golden.root, data_set="pacs", method="QT-DoG") == {"mean": "74.0 ± 1.3 (cnn, small)"}
    assert rows_of("7", golden.root, method="QT-DoG") == {
        "art": "83.0 ± 1.2 (cnn, small)",
        "cartoon": "—",
        "photo": "—",
        "sketch": "65.0 ± 1.5 (cnn, small)",
    }
    assert rows_of("1", golden.root, method="EoQ of 5") == {"mean": "—"}
    assert {t.name for t in published.published_tables(load(golden.root))} == {
        f"published-{p}" for p in ("domainbed", "qtdog", "swad")
    }
