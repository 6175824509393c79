"""What quantizers lose beside the noise of their layers, by kind of layer; asked after the run.

``python tests/reports/publish/test_evidence_noise.py docs/records/evidence docs/evidence.md`` writes the table of that page.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median
from textwrap import wrap
from typing import Any

import altair as alt
from pytest import approx
from scipy import stats

from quantdg.bench.results.archive import run_folder
from quantdg.bench.results.record import HEADLINE, Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main as cli
from quantdg.reports.figures.drawing import titled
from quantdg.reports.figures.rendering import svg
from quantdg.reports.figures.theme import FILE
from quantdg.reports.text.section import rewrite, with_section

ROOT = Path(__file__).parents[3]
EVIDENCE, PAGE = ROOT / "docs" / "records" / "evidence", ROOT / "docs" / "evidence.md"
OTHERS = {"evidence_scale": "scales x 0.4", "evidence_noise": "as noisy as lsq"}
"""Runs of their own whose weights are rounded otherwise, and what their rows are called."""
NATURAL = ("pacs", "office_caltech")
DATASETS = (*NATURAL, "digits_real")
KINDS = {"conv_dw": "depthwise", "conv_pw": "pointwise"}
OTHER_WEIGHTS = ("dorefa", "inq")
"""They put other weights in place of the network's, from which their noise is not measured."""

NEAR = {"noise": 0.012, "gain": 0.35}
"""Marks nearer than this share a label."""
MATCHED = "quantizer, as noisy as LSQ"
KIND = {True: "quantizer at 7 bits", False: "control"}
KINDS_SHOWN = [KIND[True], MATCHED, KIND[False]]
GAIN = "gain over float, points"


class Row:
    """One quantizer.

    Attributes:
        noise: by kind of layer, median over layers and cells of the audit's noise over signal.
        gain: over float in points, by data set, mean over domains and seeds.
        method: whether it is a quantizer proper and no control.
    """

    def __init__(self, noise: dict[str, list[float]], gains: dict[str, list[float]], *, method: bool) -> None:
        self.method = method
        self.noise = {kind: median(noise[kind]) for kind in KINDS.values()}
        self.gain = {name: fmean(found) for name, found in gains.items()}

    @property
    def natural(self) -> float:
        """The mean over the natural data sets, as the verdict's."""
        return fmean(self.gain[name] for name in NATURAL)


def rows(root: Path) -> dict[str, Row]:
    """Read the quantizers and controls of a run folder that round or disturb weights."""
    with run_folder(root) as folder:
        records = [r for r in RunStore(folder).records() if isinstance(r, Record) and r.status == "done"]
    accuracy = {(r.labels.quantizer, place(r)): 100 * r.rows[HEADLINE].target_in for r in records}
    noise: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    gains: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in records:
        name = r.labels.quantizer
        gains[name][r.labels.dataset].append(accuracy[name, place(r)] - accuracy["float", place(r)])
        for layer, audit in r.audit.items():
            kind = KINDS.get(layer.rpartition(".")[2], "")
            noise[name][kind].append(float(audit["noise_to_signal"] or 0))
    methods = {r.labels.quantizer for r in records if r.role == "method"}
    return {name: Row(noise[name], gains[name], method=name in methods) for name in noise}


def place(record: Record) -> tuple[str, str, int]:
    labels = record.labels
    return labels.dataset, labels.target, labels.seed


def kept(found: dict[str, Row]) -> list[Row]:
    """Return the quantizers proper that keep the network's weights."""
    return [row for name, row in found.items() if row.method and name not in OTHER_WEIGHTS]


def correlations(found: dict[str, Row]) -> dict[tuple[str, str], float]:
    """Return the rank correlation of noise and gain, by kind of layer and data set; ``natural`` is the mean of two."""
    quantizers = kept(found)
    out = {}
    for kind in KINDS.values():
        for where in (*DATASETS, "natural"):
            gains = [r.natural if where == "natural" else r.gain[where] for r in quantizers]
            out[kind, where] = float(stats.spearmanr([row.noise[kind] for row in quantizers], gains).statistic)
    return out


def others() -> dict[str, Row]:
    """Return the rows of the other runs by what they are called."""
    return {
        f"{name}, {said}": row
        for folder, said in OTHERS.items()
        for name, row in rows(EVIDENCE.with_name(folder)).items()
        if name != "float"
    }


def report(root: Path) -> str:
    """Write table and sentence."""
    found = rows(root)
    lines = [
        "| | noise, depthwise | noise, pointwise | natural images | PACS | Office-Caltech | digits |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted((found | others()).items(), key=lambda item: item[1].noise["pointwise"]):
        numbers = [f"{row.noise[kind]:.3f}" for kind in KINDS.values()]
        numbers += [
            f"{value:+.1f}" if value is not None else "" for value in (row.natural, *map(row.gain.get, DATASETS))
        ]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    said = correlations(found)
    words = [
        f"{kind} {said[kind, 'natural']:+.2f} ({', '.join(f'{name} {said[kind, name]:+.2f}' for name in DATASETS)})"
        for kind in KINDS.values()
    ]
    count = (
        f"Rank correlation of noise and gain over the {len(kept(found))} quantizers that keep the network's weights:"
    )
    return "\n".join([*lines, "", *wrap(f"{count} {', '.join(words)}.", 140, break_on_hyphens=False)])


def picture(root: Path) -> str:
    """Draw gain against noise in pointwise layers, of what keeps the network's weights; a line leads to the same, as noisy as LSQ."""
    found = {name: row for name, row in rows(root).items() if name not in {"float", *OTHER_WEIGHTS}}
    marks = [{"name": name, **where(row), "kind": KIND[row.method]} for name, row in found.items()]
    zero = alt.Chart(alt.InlineData(values=[{}])).mark_rule(style="zero").encode(y=alt.datum(0))
    x, y = alt.X("noise:Q", title="noise in pointwise layers, over the weights' size"), alt.Y("gain:Q", title=GAIN)
    shape, colour = (
        alt.Shape("kind:N", title=None, scale=alt.Scale(domain=KINDS_SHOWN, range=["circle", "square", "diamond"])),
        alt.Color("kind:N", title=None, scale=alt.Scale(domain=KINDS_SHOWN)),
    )
    moved = [
        {"name": "", **where(row), "kind": MATCHED, "x2": where(found[name])["noise"], "y2": where(found[name])["gain"]}
        for name, row in rows(EVIDENCE.with_name("evidence_noise")).items()
        if name in found and row.method
    ]
    base = alt.Chart(alt.InlineData(values=[*marks, *moved])).encode(x=x, y=y)
    dots = base.mark_point(style="dot", filled=True, size=80).encode(shape=shape, color=colour)
    paths = base.transform_filter("isValid(datum.x2)").mark_rule(style="thin").encode(x2="x2:Q", y2="y2:Q")
    words = alt.Chart(alt.InlineData(values=labels(marks))).mark_text(style="words", align="left", dx=8)
    layers = alt.layer(zero, paths, dots, words.encode(x=x, y=y, text="name:N"))
    drawn = layers.properties(width=520, height=300).to_dict()
    del drawn["config"], drawn["$schema"]
    return svg(titled(drawn, "Gain by noise", "eight natural domains, three seeds; as noisy as LSQ: seed 0"), FILE)


def where(row: Row) -> dict[str, float]:
    return {"noise": row.noise["pointwise"], "gain": row.natural}


def labels(marks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the names of marks, in one label where marks all but meet."""
    out: list[dict[str, Any]] = []
    for mark in sorted(marks, key=lambda m: (m["noise"], -m["gain"])):
        near = [label for label in out if all(abs(mark[a] - label[a]) < NEAR[a] for a in NEAR)]
        if near:
            near[0] |= {"name": f"{near[0]['name']}, {mark['name']}", "noise": mark["noise"]}
        else:
            out.append({**mark})
    return out


def test_the_page_has_what_the_records_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_section(page, report(EVIDENCE), "noise", PAGE) == page


def test_what_the_second_network_says_is_what_its_records_give() -> None:
    found, page = rows(EVIDENCE.with_name("evidence_backbone")), " ".join(PAGE.read_text(encoding="utf-8").split())
    noise = {name: f"{row.noise['pointwise']:.3f}".removeprefix("0") for name, row in found.items()}
    loss = {name: f"{-row.natural:.1f}" for name, row in found.items()}
    assert (
        f"torch.ao's grid is quiet, {noise['torch_ao']} in pointwise layers, and loses {loss['torch_ao']} points"
        in page
    )
    assert f"LSQ's, at {noise['lsq']}, loses {loss['lsq']}, EWGS's, equally noisy, {loss['ewgs']};" in page
    assert f"PACT's weights are at {noise['pact']}, and it loses {loss['pact']}" in page
    assert noise["ewgs"] == noise["lsq"]


def test_gains_are_those_of_the_claims(capsys) -> None:
    assert cli(["claims", str(EVIDENCE), "--format", "csv"]) == 0
    lines = csv.DictReader(io.StringIO(capsys.readouterr().out))
    said = {line["scope"]: float(line["mean"]) for line in lines if line["id"] == "gain"}
    lsq = rows(EVIDENCE)["lsq"]
    assert (lsq.natural, lsq.gain["pacs"]) == approx((said["natural images"], said["PACS"]))


def main(runs: str, into: str = "") -> None:
    """Print the table, or write it between the markers of a page."""
    text = report(Path(runs))
    rewrite(Path(into), text, "noise") if into else print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
