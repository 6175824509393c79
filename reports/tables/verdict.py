"""The verdict's numbers as tables: gains, controls, averaging, DG methods."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from ..stats.units import DomainsOfDataSets
from ..text.numbers import DASH, interval_text, p_text, span_text
from ..verdict.claims import Claim
from ..verdict.heterogeneity import Heterogeneity
from ..verdict.judge import Scope, Verdict
from .table import Table, traced

_CLAIM = ["mean", "low", "high", "worst", "worst_domain", "share_positive", "n_domains", "n_seeds"]
_BETWEEN = "sd between: standard deviation of the quantizers' true mean gains, points, with its interval."


def _plain(unit: str) -> str:
    """A unit as a part of a column's name."""
    return unit.replace(" ", "_")


def _numbers(claim: Claim, unit: str) -> dict[str, Any]:
    effect = {name.replace("domain", _plain(unit)): getattr(claim.effect, name, None) for name in _CLAIM}
    p = {"p": claim.p, "p_holm": claim.adjusted, "p_here": claim.p_here}
    spread = {f"sd_{name}": value for name, value in vars(claim.spread).items()} if claim.spread else {}
    return {**effect, **p, **spread, "needed": claim.needed, "answer": claim.answer}


def _text(claim: Claim, unit: str) -> dict[str, str]:
    e = claim.effect
    return {
        "points": f"{e.mean:+.2f}" if e else DASH,
        "interval": interval_text(e.low, e.high) if e else DASH,
        "answer": claim.answer,
        f"worst {unit}": f"{e.worst:+.2f} {e.worst_domain}" if e else DASH,
        "above 0": f"{e.share_positive:.0%}" if e else DASH,
        f"{unit}s x seeds": f"{e.n_domains} x {e.n_seeds}" if e else DASH,
        "p": p_text(claim.p),
        "p here": p_text(claim.p_here),
    }


_Line = tuple[dict[str, str], Claim, dict[str, Any], dict[str, str]]


def _table(name: str, title: str, scope: Scope, lines: list[_Line]) -> Table:
    unit = scope.units.word
    text = [{**named, **_text(claim, unit), **extra} for named, claim, _, extra in lines]
    numbers = [{**named, **_numbers(claim, unit), **more} for named, claim, more, _ in lines]
    labels = len(lines[0][0]) if lines else 1
    traces = traced("points", (claim.keys for _, claim, _, _ in lines))
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(text),
        numbers=pd.DataFrame(numbers),
        labels=labels,
        notes=(scope.units.about,),
        traces=traces,
    )


def gains_table(scope: Scope) -> Table:
    """Make the table of each quantizer's gain over float."""
    lines = []
    for judged in scope.algorithms:
        for c in judged.quantizers:
            low, high = c.resampled
            extra = {"Holm": p_text(c.adjusted)}
            if not isinstance(scope.units, DomainsOfDataSets):
                extra["bootstrap"] = interval_text(low, high)
            if c.spread:
                extra |= {"sd data sets": f"{c.spread.strata:.2f}", "sd domains": f"{c.spread.domains:.2f}"}
            extra[f"{c.unit}s needed"] = str(c.needed or DASH)
            numbers = {"bootstrap_low": low, "bootstrap_high": high}
            lines.append(({"algorithm": judged.algorithm, "quantizer": c.name}, c, numbers, extra))
    return _table(f"verdict-gain-{scope.file}", f"Gain over float: {scope.name}", scope, lines)


def _difference(d: Heterogeneity, unit: str) -> tuple[dict[str, str], dict[str, Any]]:
    """One line as text and as numbers."""
    ends = {"smallest gain": d.least, "largest gain": d.most}
    shown = {k: f"{value:+.2f} {quantizer}" for k, (quantizer, value) in ends.items()}
    shown |= {
        "sd between": DASH if math.isnan(d.between.sd) else f"{d.between.sd:.2f}",
        "interval": span_text(d.between.low, d.between.high),
        f"{unit}s x seeds": f"{d.n_domains} x {d.n_seeds}",
    }
    shown |= {"p": p_text(d.p), "p here": p_text(d.p_here), "p all gain": p_text(d.p_every), "differ": d.answer}
    numbers = {"least": d.least[1], "most": d.most[1], **vars(d.between), "p": d.p, "p_here": d.p_here}
    counts = {f"n_{_plain(unit)}s": d.n_domains, "n_seeds": d.n_seeds, "answer": d.answer}
    return shown, {**numbers, "p_every": d.p_every, **counts}


def differences_table(scope: Scope) -> Table:
    """Make the table that says whether the gain depends on the quantizer, and what changes where one is left out."""
    text, numbers, keys = [], [], []
    for judged in scope.algorithms:
        for d in judged.heterogeneity:
            named = {"algorithm": judged.algorithm, "left out": d.without or "none"}
            shown, values = _difference(d, scope.units.word)
            text.append({**named, **shown})
            numbers.append({**named, **values})
            keys.append(d.keys)
    return Table(
        name=f"verdict-quantizers-{scope.file}",
        title=f"Does the gain depend on the quantizer: {scope.name}",
        text=pd.DataFrame(text),
        numbers=pd.DataFrame(numbers),
        labels=2,
        notes=(_BETWEEN, scope.units.about_differences),
        traces=traced("sd between", keys),
    )


def controls_table(scope: Scope) -> Table:
    """Make the table of each quantizer against each control, one-sided."""
    lines = [
        ({"algorithm": judged.algorithm, "comparison": c.claim.name}, c.claim, dict[str, Any](), dict[str, str]())
        for judged in scope.algorithms
        for c in judged.controls
    ]
    return _table(f"verdict-controls-{scope.file}", f"More than the controls, one-sided: {scope.name}", scope, lines)


def interactions_table(scope: Scope) -> Table:
    """Make the table of each quantizer with each weight averaging."""
    corners = ("float", "quantized", "float averaged", "both")
    lines = []
    for judged in scope.algorithms:
        for s in judged.interactions:
            named = {"algorithm": judged.algorithm, "quantizer": s.quantizer, "average": s.average}
            values: dict[str, Any] = dict(zip(corners, s.accuracy, strict=True))
            shown = {k: DASH if math.isnan(v) else f"{v:.1f}" for k, v in values.items()}
            lines.append((named, s.claim, values, shown))
    return _table(
        f"verdict-averaging-{scope.file}", f"Quantizer x weight averaging, interaction: {scope.name}", scope, lines
    )


def methods_table(scope: Scope, margin: float) -> Table:
    """Make the table that says whether a DG method's gain over ERM changes under a quantizer."""
    lines = []
    for judged in scope.algorithms:
        for c in judged.differences:
            extra = {"90 % interval": interval_text(c.low, c.high), f"p within ±{margin:g}": p_text(c.p_equivalent)}
            extra["verdict"] = c.answer
            numbers = {"low_90": c.low, "high_90": c.high, "p_equivalent": c.p_equivalent, "verdict": c.answer}
            named = {"method": judged.algorithm, "quantizer": c.claim.name}
            lines.append((named, c.claim, dict[str, Any](numbers), extra))
    return _table(f"verdict-methods-{scope.file}", f"Change of the method's gain over ERM: {scope.name}", scope, lines)


def verdict_tables(verdict: Verdict) -> list[Table]:
    """Make all tables with content, scope by scope."""
    out = []
    for scope in verdict.scopes:
        made = [gains_table(scope), differences_table(scope), controls_table(scope)]
        made += [interactions_table(scope), methods_table(scope, verdict.rules.margin)]
        out += [table for table in made if len(table.text)]
    return out
