"""The report as one self-contained page: no network, no server, the same bytes from the same records."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from quantdg.bench.store import write_atomic
from quantdg.reports.cube import Cube, method_label
from quantdg.reports.diagrams import Point, critical_difference, pareto
from quantdg.reports.forest import forest
from quantdg.reports.frame import Results, load
from quantdg.reports.html_table import safe, table_html
from quantdg.reports.lines import by_bits, by_noise, chart, training
from quantdg.reports.order import METHOD, PRIMARY, SECTION
from quantdg.reports.provenance import provenance_table, status_counts
from quantdg.reports.published import published_table
from quantdg.reports.report import scope_names, section_names, tables
from quantdg.reports.tables import Table
from quantdg.reports.verdict import Verdict, judge
from quantdg.reports.verdict_tables import verdict_tables
from quantdg.reports.words import verdict_words

_TITLE = "QuantDG report"


def _verdict(found: Verdict) -> str:
    rules = found.rules
    fixed = f"Level {rules.alpha:g}; a difference up to {rules.margin:g} points counts as none."
    parts = [f"<p>{fixed} The unit is the target domain; seeds are replicates inside it.</p>"]
    for heading, sentences in verdict_words(found):
        first, *rest = map(safe, sentences)
        more = "".join(f"<li>{sentence}</li>" for sentence in rest)
        parts.append(f'<article class="card"><h3>{safe(heading)}</h3><p>{first}</p><ul>{more}</ul></article>')
    return "".join(parts)


def _points(cube: Cube, costs: pd.DataFrame, column: str) -> list[Point]:
    """Cost and mean accuracy of the complete methods, primary selection."""
    median = costs.groupby(METHOD)[column].median()
    out = []
    for i, method in enumerate(cube.methods):
        if method[3] == PRIMARY and method[:3] in median.index and np.isfinite(cube.accuracy[i]).all():
            out.append(Point(method_label(method), float(median[method[:3]]), float(cube.accuracy[i].mean())))
    return out


def _of(frame: pd.DataFrame, section: tuple[str, str, str]) -> pd.DataFrame:
    return frame[(frame[SECTION] == list(section)).all(axis=1)]


def _sweeps(cube: Cube, audit: pd.DataFrame, curves: pd.DataFrame, where: str) -> Iterator[str]:
    gain = "gain over float, points"
    bits, noise = by_bits(cube, PRIMARY), by_noise(cube, PRIMARY, audit)
    said = "Mean over all (target, seed) pairs, complete methods only."
    yield chart(bits, "weight bits", gain, f"Gain by bits: {where}", said)
    yield chart(noise, "noise-to-signal of the weights, measured", gain, f"Gain by noise: {where}", said)
    for what, name in (("target_out", "target, 20 % part"), ("source_acc", "source validation")):
        lines = training(cube, PRIMARY, curves, what)
        yield chart(lines, "step", "accuracy, %", f"Training, {name}: {where}", "Mean over targets and seeds.")


def _pictures(results: Results, alpha: float) -> Iterator[str]:
    for section, cells in results.sections():
        where, cube = ", ".join(section), Cube.of(cells)
        yield forest(cube, PRIMARY, f"Gain over float: {where}")
        yield critical_difference(cube, PRIMARY, alpha, f"Ranks: {where}")
        sizes = _of(results.sizes, section)
        yield pareto(_points(cube, sizes, "packed_file"), "bytes", f"Accuracy against file size: {where}")
        latency = _of(results.latency, section)
        for (runtime, machine, batch, threads), own in latency.groupby(["runtime", "machine", "batch", "threads"]):
            setting = f"{runtime}, batch {batch}, {threads} threads, {machine}"
            yield pareto(_points(cube, own, "median_ms"), "ms a call", f"Accuracy against latency ({setting}): {where}")
        yield from _sweeps(cube, _of(results.audit, section), results.curves, where)


def _traces(results: Results) -> tuple[list[str], dict[str, dict[tuple[int, str], str]]]:
    """All keys, and for each accuracy table the indices of the keys behind each domain's number."""
    keys = sorted(results.cells["key"].unique())
    index = {key: str(i) for i, key in enumerate(keys)}
    found = {}
    for name, (_, cells) in zip(section_names(results).values(), results.sections(), strict=True):
        cube = Cube.of(cells)
        found[f"accuracy-{name}"] = {
            (m, target): ",".join(index[k] for k in cube.keys[m, t] if k)
            for m in range(len(cube.methods))
            for t, target in enumerate(cube.targets)
        }
    return keys, found


def _sections(results: Results, found: Verdict) -> tuple[list[tuple[str, str, str]], list[str]]:
    """(id, heading, content) of the page's sections, and the keys they refer to."""
    keys, traces = _traces(results)
    number = iter(range(10**6))

    def shown(made: list[Table]) -> str:
        return "".join(table_html(t, f"t{next(number)}", traces.get(t.name)) for t in made)

    judged = shown(verdict_tables(found, scope_names(results, found)))
    measured = tables(results)
    last = [t for t in measured if t.name in ("failures", "problems")]
    parts = [
        ("verdict", "Verdict", _verdict(found) + judged),
        ("figures", "Figures", "".join(_pictures(results, found.rules.alpha))),
        ("tables", "Accuracy, size, latency, audit, flatness", shown([t for t in measured if t not in last])),
        ("failures", "Cells without a result", shown(last) or "<p>Every cell of the grid has a result.</p>"),
        ("published", "Reported and measured", shown([published_table(results)])),
        ("provenance", "Provenance", shown([provenance_table(results)])),
    ]
    return parts, keys


def render_html(results: Results, found: Verdict) -> str:
    """The page's text."""
    page = (files("quantdg.reports") / "templates" / "page.html").read_text(encoding="utf-8")
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts, keys = _sections(results, found)
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="s-{name}"><h2 id="s-{name}">{safe(heading)}</h2>{content}</section>'
        for name, heading, content in parts
    )
    return Template(page).substitute(
        title=_TITLE,
        status=safe(status_counts(results)),
        links="".join(f'<a href="#{name}">{safe(heading)}</a>' for name, heading, _ in parts),
        body=body,
        keys=json.dumps(keys).replace("<", "\\u003c"),
        script_hash=f"sha256-{digest}",
    )


def write_html(root: Path, out: Path, margin: float = 0.5, alpha: float = 0.05) -> Path:
    """Write the page for a run folder to the file ``out``; arguments and errors as `quantdg.reports.verdict.verdict`."""
    results = load(root)
    write_atomic(out, render_html(results, judge(results, margin, alpha)))
    return out
