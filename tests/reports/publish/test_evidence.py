"""The records that the project publishes: every number that is said of them comes out of them again."""

import csv
import io
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml

from quantdg.bench.results.archive import run_folder
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main

ROOT = Path(__file__).parents[3]
EVIDENCE = ROOT / "docs" / "records" / "evidence"
BITS = EVIDENCE.with_name("evidence_bits")
FEW_BYTES = 5_000_000
FURTHER = {
    "evidence_backbone": [
        "freeze",
        *(f"{name} W7" for name in ("round_freeze", "uniform_noise", "lsq", "torch_ao", "ewgs")),
        "pact W7A8",
    ],
    "evidence_bits": [f"lsq W{bits}" for bits in (8, 7, 6, 4, 3)],
    "evidence_inputs": [f"lsq W{bits}A{inputs}" for bits in (7, 4, 3) for inputs in (8, 4)],
    "evidence_methods": [
        "freeze",
        *(f"{name} W7" for name in ("round_freeze", "uniform_noise", "lsq", "torch_ao", "ewgs")),
    ],
    "evidence_search": ["lsq W7"],
    "evidence_start": ["lsq W7"],
    "evidence_noise": [f"{name} N=lsq" for name in ("uniform_noise", "torch_ao", "dorefa", "apot", "inq")],
}
"""The rows beside float of each group of a further folder, as docs/evidence.md has them."""


@pytest.mark.parametrize("records", [file.parent for file in sorted(EVIDENCE.parent.glob("*/verdict.json"))])
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


@cache
def records_of(published: Path) -> list[Record]:
    """The records of a published folder, each with a commit of its own."""
    with run_folder(published) as folder:
        records = [r for r in RunStore(folder).records() if isinstance(r, Record)]
    assert all(r.provenance["git"]["commit"] and not r.provenance["git"]["dirty"] for r in records)
    return records


def test_groups_are_whole_and_every_cell_is_one_of_the_design():
    """A group never crosses machines, so half of one could not be gone on with elsewhere."""
    design = yaml.safe_load((ROOT / "bench" / "conf" / "experiment" / "evidence.yaml").read_text(encoding="utf-8"))
    (rows,) = (part["override /quantizer"] for part in design["defaults"] if "override /quantizer" in part)
    records = records_of(EVIDENCE)
    cells = Counter((r.labels.dataset, r.labels.target, r.labels.seed, r.labels.quantizer) for r in records)
    groups = {cell[:3] for cell in cells}
    assert cells == Counter((*group, row) for group in groups for row in rows)
    assert {r.settings["protocol"]["name"] for r in records} == {"evidence"}


@pytest.mark.parametrize("folder", FURTHER)
def test_each_group_of_the_further_rows_is_whole(folder):
    rows: dict[tuple[object, ...], list[str]] = {}
    for r in records_of(EVIDENCE.with_name(folder)):
        apart = (r.settings["protocol"][name] for name in ("start_step", "lr"))
        group = (r.labels.dataset, r.labels.target, r.labels.seed, r.labels.algorithm, *apart)
        own = rows.setdefault(group, [])
        own.append(f"{r.labels.quantizer} {r.labels.bits}".removesuffix(" float"))
    assert {tuple(sorted(found)) for found in rows.values()} == {tuple(sorted(["float", *FURTHER[folder]]))}
    natural = {(r.labels.dataset, r.labels.target) for r in records_of(EVIDENCE) if r.labels.dataset != "digits_real"}
    for algorithm in {group[3] for group in rows}:
        assert {group[:2] for group in rows if group[3] == algorithm} == natural


def test_a_cell_that_was_trained_twice_is_the_same_to_the_bit():
    """At the commits before and after training became faster."""
    first = {r.key: r for r in records_of(EVIDENCE)}
    twice = [(first[r.key], r) for r in records_of(BITS) if r.key in first]
    same_machine = [(a, b) for a, b in twice if a.provenance["machine"] == b.provenance["machine"]]
    assert len(same_machine) >= 16
    assert {a.provenance["git"]["commit"] for a, _ in same_machine} - {
        b.provenance["git"]["commit"] for _, b in same_machine
    }
    for a, b in same_machine:
        assert a.provenance["final_weights_sha256"] == b.provenance["final_weights_sha256"]
        assert (a.rows, a.curve, a.logits, a.audit, a.flatness) == (b.rows, b.curve, b.logits, b.audit, b.flatness)


def test_a_float_network_under_saq_is_that_under_sam_to_the_bit():
    """Its ball is around the weights themselves."""
    ends: dict[str, set[tuple[str, str, str]]] = {"erm+sam": set(), "erm+saq": set()}
    for r in records_of(EVIDENCE.with_name("evidence_methods")):
        if r.labels.quantizer == "float" and r.labels.algorithm in ends:
            weights = r.provenance["final_weights_sha256"]
            ends[r.labels.algorithm].add((r.labels.dataset, r.labels.target, weights))
    assert ends["erm+sam"] == ends["erm+saq"]
    assert len(ends["erm+sam"]) == 8


def test_the_records_stay_small():
    assert sum(file.stat().st_size for file in EVIDENCE.parent.rglob("*") if file.is_file()) < FEW_BYTES
