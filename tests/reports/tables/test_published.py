"""Numbers of papers: read from files, checked, and shown beside what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from quantdg.bench.results.store import RunStore
from quantdg.core.errors import DataError
from quantdg.reports.frames.results import load
from quantdg.reports.tables import published

HEAD = """# title: Reported: A
# source: B
# note: C: d
table,dataset,target,algorithm,quantizer,bits,accuracy,standard_error
"""


def test_published_numbers_agree_with_the_papers_own_averages() -> None:
    (paper,) = published.papers()
    rows = [r for r in paper.accuracies if r.target]
    for quantizer, printed in (("float", 84.7), ("lsq", 87.675)):
        pacs = [r.accuracy for r in rows if r.dataset == "pacs" and r.quantizer == quantizer]
        assert np.mean(pacs) == pytest.approx(printed)
    terra = [r.accuracy for r in rows if r.dataset == "terraincognita" and r.quantizer == "lsq"]
    assert np.mean(terra) == pytest.approx(50.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table,dataset\n", r"other.csv must begin with the lines '# title: ...' and '# source: ...', got \[\]"),
        ("# title: A\n# source: B\ntable,dataset\n", r"must have the columns table,dataset,target,.*got \['table', 'd"),
        (HEAD + "1,pacs,,erm,lsq,W7,0.9x,\n", r"its accuracy is a number, got \['1', 'pacs'"),
        (HEAD + "1,pacs,,erm,lsq,W7,87.0,0.2,x\n", r"a line has eight values"),
        (HEAD + "1,pacs,,erm,lsq,W7\n", r"a line has eight values"),
        (HEAD + "1,pacs,,erm,lsq,W7,870,\n", r"accuracy must be from 0 to 100 percent, got 870"),
    ],
)
def test_a_file_of_published_numbers_that_cannot_be_right_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        published.read_paper("other", text)


def test_a_second_paper_is_a_second_file() -> None:
    text = f"{HEAD}1,pacs,art,coral,pact,W4,80.5,\n1,vlcs,,erm,lsq,W7,77.0,0.2\n"
    paper = published.read_paper("other", text)
    assert (paper.name, paper.title, paper.source, paper.notes) == ("other", "Reported: A", "B", ("C: d",))
    assert paper.accuracies[0] == ("1", "pacs", "art", "coral", "pact", "W4", 80.5, None)
    assert paper.accuracies[1].standard_error == 0.2


def test_measured_stands_beside_reported(golden: RunStore) -> None:
    table = published.published_tables(load(golden.root))[0].text
    row = table[(table["data set"] == "pacs") & (table["quantizer"] == "lsq") & (table["bits"] == "W7")]
    assert row.set_index("target")["measured"].to_dict() == {
        "mean": "74.0 ± 1.3 (cnn, small)",
        "art": "83.0 ± 1.2 (cnn, small)",
        "cartoon": "—",
        "photo": "—",
        "sketch": "65.0 ± 1.5 (cnn, small)",
    }
