"""The records that the project publishes: every number that is said of them comes out of them again."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
import yaml

from quantdg.bench.results.archive import run_folder
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main

ROOT = Path(__file__).parents[3]
EVIDENCE = ROOT / "docs" / "records" / "evidence"
FEW_BYTES = 5_000_000


@pytest.mark.parametrize("records", [EVIDENCE, EVIDENCE.with_name("evidence_scale")])
def test_the_verdict_comes_out_to_the_byte(capsys, records):
    assert main(["verdict", str(records), "--json"]) == 0
    assert capsys.readouterr().out.rstrip() == (records / "verdict.json").read_text(encoding="utf-8").rstrip()


def test_what_was_asked_after_the_run_is_answered_as_the_page_of_results_says(capsys):
    asked = EVIDENCE.with_name("evidence_others.yaml")
    assert main(["claims", str(EVIDENCE), "--file", str(asked), "--format", "csv"]) == 0
    lines = [line for line in csv.DictReader(io.StringIO(capsys.readouterr().out)) if line["primary"] == "True"]
    assert {line["id"]: line["answer"] for line in lines} == {
        "others-gain": "not shown",
        "others-differ": "yes",
        "others-more-than-noise": "not shown",
        "some-other-gains": "not shown",
    }
    differ = next(line for line in lines if line["id"] == "others-differ")
    spread, least, most, p = (float(differ[name]) for name in ("mean", "low", "high", "p"))
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert f"a standard deviation of {spread:.1f} points ({least:.1f} to {most:.1f}), p = {p:.3f}," in page


def test_groups_are_whole_and_every_cell_is_one_of_the_design():
    """A group never crosses machines, so half of one could not be gone on with elsewhere."""
    design = yaml.safe_load((ROOT / "bench" / "conf" / "experiment" / "evidence.yaml").read_text(encoding="utf-8"))
    (rows,) = (part["override /quantizer"] for part in design["defaults"] if "override /quantizer" in part)
    with run_folder(EVIDENCE) as folder:
        records = [r for r in RunStore(folder).records() if isinstance(r, Record)]
    cells = Counter((r.labels.dataset, r.labels.target, r.labels.seed, r.labels.quantizer) for r in records)
    groups = {cell[:3] for cell in cells}
    assert cells == Counter((*group, row) for group in groups for row in rows)
    assert {r.settings["protocol"]["name"] for r in records} == {"evidence"}
    assert all(r.provenance["git"]["commit"] and not r.provenance["git"]["dirty"] for r in records)


def test_the_records_stay_small():
    assert sum(file.stat().st_size for file in EVIDENCE.parent.rglob("*") if file.is_file()) < FEW_BYTES
