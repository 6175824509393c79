"""The table of the field: methods as rows, data sets as columns, their average at the right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from ...bench.results.record import HEADLINE, LAST, ORACLE
from ..frames import gains
from ..frames.columns import ACROSS, METHOD, ROW, of_section, ordered
from ..frames.cube import Cube, Method
from ..frames.line_ups import LineUp
from ..frames.results import Results
from ..stats.effect import Floats
from ..text.numbers import DASH
from .accuracy import Number, state_of
from .table import Table, Traces
from .trials import with_trials

_ELSEWHERE = (LAST, ORACLE)
_AVERAGE, _GAIN, _SIZE = "average", "gain over float", "relative size"
_FIXED_NOTES = (
    "Cells without a result are counted; a row with some has no average over the rest, but how many sets are complete.",
    "Weights of iid are those that source validation selects; last and oracle are rows of the tables by target domain.",
)


@dataclass(frozen=True)
class _Column:
    """One data set: its accuracies, and the ratio of bytes of each method."""

    dataset: str
    cube: Cube
    ratios: dict[tuple[str, ...], float]

    def seed_means(self, method: Method) -> Floats:
        """Return the mean over domains within each seed, percent, shape (seeds,)."""
        return np.asarray(self.cube.of_method(method).mean(axis=0))

    def state(self, method: Method) -> str:
        """Say which cells are not there; empty if all are."""
        if method not in self.cube.methods:
            return "not run"
        return state_of(self.cube.status[self.cube.methods.index(method)].ravel().tolist())

    def number(self, method: Method) -> Number:
        """Make the mean over domains, its error over seeds."""
        if state := self.state(method):
            return Number(method=method, what="accuracy", target=self.dataset, state=state)
        return Number.of(method, "accuracy", self.seed_means(method), self.dataset)


def _obstacle(columns: list[_Column], *methods: Method) -> str:
    """Say what keeps methods from an average over data sets; empty if nothing does."""
    whole = sum(not any(c.state(m) for m in methods) for c in columns)
    if whole < len(columns):
        return f"{whole} of {len(columns)} sets"
    return "seeds differ" if len({c.cube.seeds for c in columns}) > 1 else ""


def _average(columns: list[_Column], method: Method) -> Number:
    if obstacle := _obstacle(columns, method):
        return Number(method=method, what=_AVERAGE, state=obstacle)
    return Number.of(method, _AVERAGE, np.mean([c.seed_means(method) for c in columns], axis=0))


def _gain(columns: list[_Column], method: Method) -> Number:
    if obstacle := _obstacle(columns, method, gains.float_of(method)):
        return Number(method=method, what=_GAIN, state=obstacle)
    values = np.array([c.cube.difference(method, gains.float_of(method)).mean() for c in columns])
    return Number.of(method, _GAIN, values)


def _size(columns: list[_Column], method: Method) -> Number:
    values = [c.ratios.get(method[:3], math.nan) for c in columns]
    mean = float(np.mean(values))
    state = "not measured everywhere" if math.isnan(mean) else ""
    return Number(method=method, what=_SIZE, mean=mean, n=len(values), state=state)


def _columns(results: Results, line_up: LineUp) -> list[_Column]:
    made = []
    for section in line_up.sections:
        medians = of_section(results.sizes, section).groupby(METHOD)[["packed_file", "float_file"]].median()
        ratios = dict(zip(map(tuple, medians.index), medians["packed_file"] / medians["float_file"], strict=True))
        made.append(_Column(section[0], results.cubes[section], ratios))
    return made


def _methods(results: Results, columns: list[_Column]) -> list[Method]:
    """Every method of any data set, in reading order, without the selections of a table by domain alone."""
    found = {m for c in columns for m in c.cube.methods if m[3] not in _ELSEWHERE}
    rows = ordered(pd.DataFrame(sorted(found), columns=ROW), results.roles)
    return [(str(a), str(q), str(b), str(s)) for a, q, b, s in rows.itertuples(index=False)]


def field_numbers(results: Results, line_up: LineUp) -> list[Number]:
    """List every number of a line-up's table, row by row; ``target`` of an accuracy is the data set."""
    columns = _columns(results, line_up)
    out: list[Number] = []
    for method in _methods(results, columns):
        out += [c.number(method) for c in columns]
        out.append(_average(columns, method))
        if method != gains.float_of(method):
            out.append(_gain(columns, method))
        out.append(_size(columns, method))
    return out


def _shown(line: Number | None) -> str:
    if line is None:
        return ""
    if line.what == _SIZE:
        return DASH if math.isnan(line.mean) else f"{line.mean:.3f}"
    value = line.text(1) if line.what != _GAIN else line.text(2, signed=True)
    if not line.state:
        return value
    return line.state if line.what == "accuracy" else f"{DASH} ({line.state})"


def _text(made: list[Number], datasets: Iterable[str]) -> pd.DataFrame:
    names = [*datasets]
    rows = []
    for method, own in groupby(made, key=lambda line: line.method):
        at = {(line.what, line.target): line for line in own}
        values = [at["accuracy", name] for name in names] + [at.get((what, "")) for what in (_AVERAGE, _GAIN, _SIZE)]
        shown = [*map(_shown, values)]
        rows.append([*method, *shown[:-2], DASH if shown[-2] == shown[-3] else shown[-2], shown[-1]])
    text = pd.DataFrame(rows, columns=[*ROW, *names, _AVERAGE, _GAIN, _SIZE])
    return text.drop(columns="selection") if {*text["selection"]} == {HEADLINE} else text


def _notes(results: Results, line_up: LineUp) -> Iterator[str]:
    cubes = [results.cubes[section] for section in line_up.sections]
    seeds = {cube.seeds for cube in cubes}
    listed = "; ".join(", ".join(map(str, found)) for found in sorted(seeds))
    spread = f"± standard error over seeds ({listed}), ddof 1" if max(map(len, seeds)) > 1 else f"one seed ({listed})"
    yield f"Accuracy in % on the targets' 80 % part: mean over a data set's target domains within each seed, {spread}."
    yield f"Average: mean over data sets of these means within each seed, every data set counting alike; {spread}."
    yield (
        "Gain over float in points: pairs of the same data set, target, seed, algorithm and selection rule, averaged "
        f"alike; ± standard error over the mean gains of {len(cubes)} data sets, ddof 1."
    )
    yield "Relative size: bytes of the packed over those of the float file, median over cells, mean over data sets."
    counts = ", ".join(f"{name} {len(cube.targets)}" for name, cube in zip(line_up.datasets, cubes, strict=True))
    yield f"Target domains: {counts}."
    if len(line_up.setups) > 1:
        setups = "; ".join(f"{', '.join(names)}: {m}, {p}" for (m, p), names in line_up.setups.items())
        yield f"Data sets differ in model or protocol, and each is averaged and compared with its own: {setups}."
    yield from _differing(results, line_up)
    yield from _FIXED_NOTES


def _differing(results: Results, line_up: LineUp) -> Iterator[str]:
    """Settings that one protocol has by several values, since data sets may have their own."""
    values: dict[str, dict[str, list[str]]] = {}
    for section, setting, value in results.protocols:
        if section in line_up.sections and setting != "name":
            values.setdefault(setting, {}).setdefault(value, []).append(section[0])
    said = [
        f"{setting} " + ", ".join(f"{value} ({', '.join(names)})" for value, names in found.items())
        for setting, found in values.items()
        if len(found) > 1
    ]
    if said:
        yield f"Settings that differ between data sets: {'; '.join(said)}."


def _traces(text: pd.DataFrame, made: list[Number], results: Results, line_up: LineUp) -> Traces:
    methods = [*dict.fromkeys(line.method for line in made)]
    out: dict[tuple[int, str], tuple[str, ...]] = {}
    for i, method in enumerate(methods):
        keys = {s[0]: results.cubes[s].keys_of(method) for s in line_up.sections}
        every = tuple(key for own in keys.values() for key in own)
        floats = tuple(k for s in line_up.sections for k in results.cubes[s].keys_of(gains.float_of(method)))
        out |= {(i, name): own for name, own in keys.items() if own}
        out[i, _AVERAGE] = every
        if text[_GAIN].iloc[i]:
            out[i, _GAIN] = (*every, *floats)
    return out


def field_table(results: Results, line_up: LineUp, name: str) -> Table:
    """Make the table of one line-up."""
    made = field_numbers(results, line_up)
    text = _text(made, line_up.datasets)
    columns = [*ROW, "what", "dataset", "mean", "se", "n", "state"]
    lines = [(*x.method, x.what, x.target, x.mean, x.se, x.n, x.state) for x in made]
    return Table(
        name=name,
        title=f"Accuracy by data set: {line_up.words}",
        text=text,
        numbers=pd.DataFrame(lines, columns=columns),
        labels=[*text.columns].index(line_up.datasets[0]),
        notes=tuple(_notes(results, line_up)),
        traces=_traces(text, made, results, line_up),
        section=ACROSS,
    )


def field_tables(results: Results) -> Iterator[Table]:
    """Make the table of each line-up; none where there are no two data sets."""
    for line_up, name in zip(results.line_ups, results.line_up_names, strict=True):
        own = [of_section(results.trials, section) for section in line_up.sections]
        yield with_trials(field_table(results, line_up, f"field-{name}"), pd.concat(own))
