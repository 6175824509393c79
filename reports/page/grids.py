"""The page's matrices: gains by quantizer and algorithm, and what each quantizer gains beyond each control."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...bench.results.verdict_rules import Rules
from ..answer.answer import Answer
from ..answer.matrix import MARKS, Entry, averagings_of, matrix_of
from ..frames.results import Results
from ..report import Report
from ..stats.units import DataSets
from ..text.numbers import interval_text, number_text, p_text, points
from ..verdict.judge import AlgorithmVerdict, Scope
from ..verdict.sentences import claim_sentence, sentences_on_controls, units_and_seeds

SHADES = (0.5, 1.0, 2.0, 5.0)
"""Where a shade ends and the next begins, points: the same in every report, so that pages can be compared."""


class Square(NamedTuple):
    """One cell: what its button shows and what it opens; ``about`` is the id of the latter, unique in the page."""

    about: str
    title: str
    entry: Entry
    sentences: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> str:
        """Return the symbol of the answer."""
        return MARKS.get(self.entry.answer, "")

    @property
    def points(self) -> str:
        """Return the mean as text; empty without one."""
        return "" if math.isnan(self.entry.mean) else points(self.entry.mean)

    @property
    def interval(self) -> str:
        """Return the interval as text; empty without one."""
        return "" if math.isnan(self.entry.low) else interval_text(self.entry.low, self.entry.high)

    @property
    def shade(self) -> str:
        """Return the CSS class by sign and size: ``u1`` to ``u5`` for gains, ``d1`` to ``d5`` for losses, or none."""
        if not self.points or abs(self.entry.mean) < 0.005:
            return ""
        return f"{'u' if self.entry.mean > 0 else 'd'}{1 + bisect(SHADES, round(abs(self.entry.mean), 2))}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One matrix as the page shows it.

    Attributes:
        scope: name of the data.
        average: the weight averaging; empty for the selection that is judged.
        caption: of the table.
        columns: headings.
        under: what stands below each of them; empty without.
        top: texts of the row above all others, accuracies of float; empty without.
        rows: gains by name of the row, None where nothing was run.
        controls: the same for controls.
    """

    scope: str
    average: str = ""
    caption: str
    columns: tuple[str, ...]
    under: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    rows: dict[str, list[Square | None]]
    controls: dict[str, list[Square | None]] = field(default_factory=dict)


def _facts(entry: Entry, rules: Rules, what: str) -> Iterator[tuple[str, str]]:
    """Name and value of each number of a cell."""
    yield what, f"{points(entry.mean)} points"
    yield f"{100 * (1 - rules.alpha):g} % interval", interval_text(entry.low, entry.high)
    if entry.claim is None:
        return
    yield "p", p_text(entry.claim.p)
    if entry.claim.adjusted != entry.claim.p:
        yield "p, corrected for the number of quantizers (Holm)", p_text(entry.claim.adjusted)
    if not math.isnan(entry.claim.p_here):
        yield "p for these domains alone", p_text(entry.claim.p_here)
    yield "answer", entry.claim.answer


def _gain(about: str, title: str, entry: Entry, what: str, rules: Rules, *, said: Iterable[str] = ()) -> Square:
    own = [] if entry.claim is None else [claim_sentence(entry.claim, rules)]
    facts = () if math.isnan(entry.mean) else tuple(_facts(entry, rules, what))
    return Square(about, title, entry, (*own, *said), facts)


def grids_of(report: Report, answer: Answer) -> list[Grid]:
    """Make the matrix of each scope and averaging, that of the answer first.

    A scope whose units are data sets has the means of the one about further domains, so it has no matrix.
    """
    scopes = [s for s in report.verdict.scopes if s.algorithms and not isinstance(s.units, DataSets)]
    scopes.sort(key=lambda scope: scope is not answer.scope)
    averages = sorted({average for scope in scopes for average in averagings_of(scope)})
    return [
        _grid(scope, average, report.results, f"a{s}-{a}")
        for s, scope in enumerate(scopes)
        for a, average in enumerate(["", *averages])
    ]


def _grid(scope: Scope, average: str, results: Results, part: str) -> Grid:
    found, rules = matrix_of(scope, results, average), results.rules
    said = {} if average else {a.algorithm: _beyond_controls(a) for a in scope.algorithms}

    def rows(entries: dict[str, dict[str, Entry]], kind: str) -> dict[str, list[Square | None]]:
        out: dict[str, list[Square | None]] = {}
        for i, (name, own) in enumerate(entries.items()):
            out[name] = [
                _gain(
                    f"{part}-{kind}{i}-{j}", f"{name} under {a}", own[a], "gain over float", rules,
                    said=said.get(a, {}).get(name, ()),
                )
                if a in own
                else None
                for j, a in enumerate(found.algorithms)
            ]  # fmt: skip
        return out

    weights = f"averaged weights ({average}) over averaged float weights" if average else f"selection {scope.selection}"
    stands = units_and_seeds(len(scope.domains), len(scope.seeds))
    return Grid(
        scope=scope.name,
        average=average,
        caption=f"Gain over float in points, with its interval; {scope.name}: {stands}; {weights}.",
        columns=found.algorithms,
        top=tuple(number_text(found.accuracy[a], ".1f") for a in found.algorithms),
        rows=rows(found.methods, "q"),
        controls=rows(found.controls, "c"),
    )


def _beyond_controls(judged: AlgorithmVerdict) -> dict[str, tuple[str, ...]]:
    """What is said of each quantizer beside the controls."""
    if not judged.controls:
        return {}
    return {c.name: (said,) for c, said in zip(judged.quantizers, sentences_on_controls(judged), strict=True)}


def controls_grid(report: Report, answer: Answer) -> Grid | None:
    """Make the matrix of what each quantizer gains beyond each control under the answer's algorithm; None without one."""
    judged, rows = answer.judged, dict[str, list[Square | None]]()
    controls = tuple(dict.fromkeys(c.control for c in judged.controls))
    for i, against in enumerate(judged.controls):
        claim, row = against.claim, rows.setdefault(against.quantizer, [None] * len(controls))
        e = claim.effect
        entry = (
            Entry(mean=e.mean, low=e.low, high=e.high, claim=claim, keys=claim.keys) if e else Entry(keys=claim.keys)
        )
        j = controls.index(against.control)
        row[j] = _gain(f"b{i}", claim.name, entry, "more than the control", report.verdict.rules)
    if not rows:
        return None
    return Grid(
        scope=answer.scope.name,
        caption=f"Under {judged.algorithm}, points more than each control gives, one-sided; {answer.scope.name}.",
        columns=controls,
        under=tuple(judged.expected_controls.get(name, "") for name in controls),
        rows=rows,
    )
