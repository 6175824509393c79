"""Critical-difference diagram: mean ranks of methods, those that cannot be told apart joined.

Vega-Lite has no such mark: the diagram is layered from lines and words whose places are computed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np

from ...bench.results.record import HEADLINE
from ..frames.columns import Section
from ..frames.cube import method_label
from ..frames.results import Results
from ..stats.ranking import Ranking, rank
from ..text.numbers import p_phrase
from .fields import Figure, fields, whole

_MOST_RANKED = 20
_WIDTH, _BAR, _ROW = 420, 9, 18


def rank_figures(results: Results) -> Iterator[Figure]:
    """Draw the mean ranks over the target domains of each data set, by source validation; none with fewer than 3 methods."""
    for field in fields(results):
        drawn, said = [], []
        for section in field.sections:
            found = _ranked(results, section)
            if found is not None:
                names, ranking, rest = found
                drawn.append(_diagram(names, ranking, field.panel(section)))
                said.append(_sentence(ranking, field.panel(section), rest))
        if drawn:
            chart = alt.vconcat(*drawn, spacing=24) if len(drawn) > 1 else drawn[0]
            caption = "1 is best; a bar joins methods within Nemenyi's critical difference. " + " ".join(said)
            yield field.finished(chart, "ranks", "Mean rank over target domains", caption=caption)


def _ranked(results: Results, section: Section) -> tuple[list[str], Ranking, int] | None:
    """Names and ranks of the first complete methods, and how many more there are."""
    complete = [*whole(results.cubes[section], HEADLINE)]
    shown = complete[:_MOST_RANKED]
    means = [accuracy.mean(axis=1) for _, accuracy in shown]
    ranking = rank(np.stack(means, axis=1), results.rules.alpha) if shown else None
    return None if ranking is None else ([method_label(m) for m, _ in shown], ranking, len(complete) - len(shown))


def _sentence(ranking: Ranking, panel: str, rest: int) -> str:
    more = f"; the first {_MOST_RANKED} of {_MOST_RANKED + rest} methods" if rest else ""
    said = f"{ranking.n_blocks} domains, critical difference {ranking.critical_difference:.2f}, Friedman {p_phrase(ranking.p)}"
    return f"{f'{panel}: ' if panel else ''}{said}{more}."


def groups(ranking: Ranking) -> list[tuple[float, float]]:
    """Find the maximal runs of mean ranks that lie within the critical difference, as (lowest, highest)."""
    ranks = np.sort(ranking.ranks)
    found: list[tuple[float, float]] = []
    for low in ranks:
        high = float(ranks[ranks <= low + ranking.critical_difference + 1e-12].max())
        if high > low and (not found or high > found[-1][1]):
            found.append((float(low), high))
    return found


def _diagram(names: list[str], ranking: Ranking, panel: str) -> Any:
    k, bars = len(names), groups(ranking)
    top = 20 + _BAR * len(bars)
    rows: list[dict[str, Any]] = []
    for place, j in enumerate(np.argsort(ranking.ranks, kind="stable")):
        first = place < (k + 1) // 2
        level = place if first else k - 1 - place
        value = float(ranking.ranks[j])
        side = {"edge": 1.0 if first else float(k), "side": "left" if first else "right"}
        rows.append({**side, "rank": value, "y": top + _ROW * level, "start": 0, "name": f"{names[j]} {value:.2f}"})
    joined = [{"low": low, "high": high, "y": 14 + _BAR * i} for i, (low, high) in enumerate(bars)]
    height = top + _ROW * ((k + 1) // 2)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], reverse=True, nice=False), axis=None)
    ticks = alt.Axis(orient="top", title="mean rank", grid=False, values=[*range(1, k + 1)], format="d")
    x = alt.X("rank:Q", scale=alt.Scale(domain=[1, k], nice=False), axis=ticks)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    words = base.encode(x=alt.X("edge:Q", axis=ticks), text="name:N")
    left = words.transform_filter("datum.side == 'left'").mark_text(style="words", align="right", dx=-6)
    right = words.transform_filter("datum.side == 'right'").mark_text(style="words", align="left", dx=6)
    layers = [
        base.mark_rule(style="thin").encode(x=x, y=alt.Y("start:Q", axis=None), y2="y:Q"),
        base.mark_rule(style="thin").encode(x=x, x2="edge:Q"),
        left,
        right,
        alt.Chart(alt.InlineData(values=joined))
        .mark_rule(style="joined")
        .encode(x=alt.X("low:Q", axis=ticks), x2="high:Q", y=y),
    ]
    titled = {"title": alt.Title(panel)} if panel else {}
    return alt.layer(*layers, view=alt.ViewConfig(stroke=None), **titled).properties(width=_WIDTH, height=height)
