"""The tables and pictures of docs/results.md come out of the published records, to the byte.

``python -m tests.reports.publish.test_evidence_page`` writes them again.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from quantdg.bench.results.archive import run_folder
from quantdg.reports.figures.rendering import drawn_files
from quantdg.reports.report import Report
from quantdg.reports.text.section import rewrite, with_section
from tests.reports.publish.test_evidence_noise import EVIDENCE, ROOT, picture

PAGE, IMAGES = ROOT / "docs" / "results.md", ROOT / "docs" / "images"
TABLES = (
    ("evidence", "verdict-gain-domains"),
    ("evidence", "field"),
    ("evidence_backbone", "verdict-gain-domains"),
)
PICTURES = {
    "evidence_gain": ("evidence", "figure-gain-mobilenet-v1-evidence-iid"),
    "evidence_flatness": ("evidence", "figure-flatness-mobilenet-v1-evidence-source"),
    "evidence_backbone": ("evidence_backbone", "figure-gain-efficientnet-lite0-evidence-iid"),
    "evidence_bits": ("evidence_bits", "figure-gain-by-bits-mobilenet-v1-evidence"),
}
PINNED = dict(re.findall(r"(?m)^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8")))
AGAIN = "run python -m tests.reports.publish.test_evidence_page"

same_drawing = pytest.mark.skipif(
    version("vl-convert-python") != PINNED["vl-convert-python"],
    reason="another version of vl-convert draws other bytes",
)


@cache
def report_of(records: str) -> Report:
    with run_folder(EVIDENCE.with_name(records)) as root:
        made = Report.of(root)
        assert made.drawings
        return made


def drawn(records: str, name: str) -> str:
    """Draw one figure of the report of a published folder."""
    (figure,) = [d for d in report_of(records).drawings if name.startswith(d.name)]
    return drawn_files(figure)[name]


@pytest.mark.parametrize(("records", "name"), TABLES)
def test_a_table_is_the_reports(records: str, name: str) -> None:
    table, page = report_of(records).table(name), PAGE.read_text(encoding="utf-8")
    assert f"`{name}`" in page
    assert with_section(page, table.markdown(2), table.name, PAGE.name) == page, AGAIN


@same_drawing
@pytest.mark.parametrize("image", PICTURES)
def test_a_picture_is_the_reports(image: str) -> None:
    assert drawn(*PICTURES[image]) == (IMAGES / f"{image}.svg").read_text(encoding="utf-8"), AGAIN


@same_drawing
def test_the_picture_of_noise_is_drawn_from_the_records() -> None:
    assert picture(EVIDENCE) == (IMAGES / "evidence_noise.svg").read_text(encoding="utf-8"), AGAIN


def main(page: Path = PAGE) -> None:
    """Write tables and pictures."""
    for records, name in TABLES:
        table = report_of(records).table(name)
        rewrite(page, table.markdown(2), table.name)
    for image, (records, name) in PICTURES.items():
        (IMAGES / f"{image}.svg").write_text(drawn(records, name), encoding="utf-8")
    (IMAGES / "evidence_noise.svg").write_text(picture(EVIDENCE), encoding="utf-8")


if __name__ == "__main__":
    main()
