"""The verdict's numbers as tables: gains, controls, averaging, DG methods."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from ..text.numbers import DASH, interval_text, p_text, span_text
from ..verdict.claims import Claim
from ..verdict.judge import Scope, Verdict
from .table import Table, traced

_CLAIM = ["mean", "low", "high", "worst", "worst_domain", "share_positive", "n_domains", "n_seeds"]
_UNIT = "p: sign-flip test on domain means, for domains in general; p here: over seeds, for these domains only."

_DIFFER = (
    "sd between: standard deviation of the quantizers' true mean gains, points, with its interval.",
    "p: of no difference, for domains in general; p here: for these only; p all gain: of the conjunction, one-sided.",
)


def _numbers(claim: Claim) -> dict[str, Any]:
    effect = {name: getattr(claim.effect, name, None) for name in _CLAIM}
    p = {"p": claim.p, "p_holm": claim.adjusted, "p_here": claim.p_here}
    return {**effect, **p, "needed": claim.needed, "answer": claim.answer}


def _text(claim: Claim) -> dict[str, str]:
    e = claim.effect
    return {
        "points": f"{e.mean:+.2f}" if e else DASH,
        "interval": interval_text(e.low, e.high) if e else DASH,
        "worst domain": f"{e.worst:+.2f} {e.worst_domain}" if e else DASH,
        "above 0": f"{e.share_positive:.0%}" if e else DASH,
        "domains x seeds": f"{e.n_domains} x {e.n_seeds}" if e else DASH,
        "p": p_text(claim.p),
        "p here": p_text(claim.p_here),
    }


def _table(name: str, title: str, lines: list[tuple[dict[str, str], Claim, dict[str, Any], dict[str, str]]]) -> Table:
    text = [{**named, **_text(claim), **extra, "answer": claim.answer} for named, claim, _, extra in lines]
    numbers = [{**named, **_numbers(claim), **more} for named, claim, more, _ in lines]
    labels = len(lines[0][0]) if lines else 1
    traces = traced("points", (claim.keys for _, claim, _, _ in lines))
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(text),
        numbers=pd.DataFrame(numbers),
        labels=labels,
        notes=(_UNIT,),
        traces=traces,
    )


def gains_table(scope: Scope, name: str) -> Table:
    """Make the table of each quantizer's gain over float."""
    lines = []
    for judged in scope.algorithms:
        for c in judged.quantizers:
            low, high = c.resampled
            extra = {"Holm": p_text(c.adjusted), "bootstrap": interval_text(low, high)}
            extra["domains needed"] = str(c.needed or DASH)
            numbers = {"bootstrap_low": low, "bootstrap_high": high}
            lines.append(({"algorithm": judged.algorithm, "quantizer": c.name}, c, numbers, extra))
    return _table(f"verdict-gain-{name}", f"Gain over float: {scope.name}", lines)


def differences_table(scope: Scope, name: str) -> Table:
    """Make the table that says whether the gain depends on the quantizer, and what changes where one is left out."""
    text, numbers, keys = [], [], []
    for judged in scope.algorithms:
        for d in judged.heterogeneity:
            named = {"algorithm": judged.algorithm, "left out": d.without or "none"}
            ends = {"smallest gain": d.least, "largest gain": d.most}
            shown = {k: f"{value:+.2f} {quantizer}" for k, (quantizer, value) in ends.items()}
            sd = DASH if math.isnan(d.between.sd) else f"{d.between.sd:.2f}"
            interval = span_text(d.between.low, d.between.high)
            size = f"{d.n_domains} x {d.n_seeds}"
            last = {
                "domains x seeds": size,
                "p": p_text(d.p),
                "p here": p_text(d.p_here),
                "p all gain": p_text(d.p_every),
            }
            keys.append(d.keys)
            text.append({**named, **shown, "sd between": sd, "interval": interval, **last, "differ": d.answer})
            known = {
                "least": d.least[1],
                "most": d.most[1],
                **vars(d.between),
                "p": d.p,
                "p_here": d.p_here,
                "p_every": d.p_every,
            }
            numbers.append({**named, **known, "n_domains": d.n_domains, "n_seeds": d.n_seeds, "answer": d.answer})
    title = f"Does the gain depend on the quantizer: {scope.name}"
    return Table(
        name=f"verdict-quantizers-{name}",
        title=title,
        text=pd.DataFrame(text),
        numbers=pd.DataFrame(numbers),
        labels=2,
        notes=_DIFFER,
        traces=traced("sd between", keys),
    )


def controls_table(scope: Scope, name: str) -> Table:
    """Make the table of each quantizer against each control, one-sided."""
    lines = [
        ({"algorithm": judged.algorithm, "comparison": c.claim.name}, c.claim, dict[str, Any](), dict[str, str]())
        for judged in scope.algorithms
        for c in judged.controls
    ]
    return _table(f"verdict-controls-{name}", f"More than the controls, one-sided: {scope.name}", lines)


def interactions_table(scope: Scope, name: str) -> Table:
    """Make the table of each quantizer with each weight averaging."""
    corners = ("float", "quantized", "float averaged", "both")
    lines = []
    for judged in scope.algorithms:
        for s in judged.interactions:
            named = {"algorithm": judged.algorithm, "quantizer": s.quantizer, "average": s.average}
            values: dict[str, Any] = dict(zip(corners, s.accuracy, strict=True))
            shown = {k: DASH if math.isnan(v) else f"{v:.1f}" for k, v in values.items()}
            lines.append((named, s.claim, values, shown))
    return _table(f"verdict-averaging-{name}", f"Quantizer x weight averaging, interaction: {scope.name}", lines)


def methods_table(scope: Scope, name: str, margin: float) -> Table:
    """Make the table that says whether a DG method's gain over ERM changes under a quantizer."""
    lines = []
    for judged in scope.algorithms:
        for c in judged.differences:
            extra = {"90 % interval": interval_text(c.low, c.high), f"p within ±{margin:g}": p_text(c.p_equivalent)}
            extra["verdict"] = c.answer
            numbers = {"low_90": c.low, "high_90": c.high, "p_equivalent": c.p_equivalent, "verdict": c.answer}
            named = {"method": judged.algorithm, "quantizer": c.claim.name}
            lines.append((named, c.claim, dict[str, Any](numbers), extra))
    return _table(f"verdict-methods-{name}", f"Change of the method's gain over ERM: {scope.name}", lines)


def verdict_tables(verdict: Verdict, names: list[str]) -> list[Table]:
    """Make all tables with content, scope by scope; ``names`` are the scopes' file-name parts."""
    out = []
    for scope, name in zip(verdict.scopes, names, strict=True):
        made = [gains_table(scope, name), differences_table(scope, name), controls_table(scope, name)]
        made += [interactions_table(scope, name), methods_table(scope, name, verdict.rules.margin)]
        out += [table for table in made if len(table.text)]
    return out
