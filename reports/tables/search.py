"""What a search gives and what it chose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...bench.results.record import HEADLINE
from ..frames import gains
from ..frames.columns import METHOD, Section, of_section
from ..frames.cube import Cube, Method
from ..frames.results import Results
from ..frames.trials import how_chosen, names_in, trials_text
from ..text.numbers import number_text
from .accuracy import Number, numbers_of
from .by_section import by_section
from .table import Table, traced

_WITHOUT = "without: trial 0, the hyper-parameters as they are configured; gain: mean paired difference in points, ± over domains."


def gain_table(results: Results, own: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of what a search gives: a line for each method, averages with it and without."""
    section: Section = tuple(own[["dataset", "model", "protocol"]].iloc[0])
    cube, plain = results.cubes[section], Cube.of(of_section(results.without_search, section))
    with_search, defaults = _averages(cube), _averages(plain)
    rows, numbers = [], []
    for names, part in own.groupby(METHOD, sort=False):
        method: Method = (*map(str, names), HEADLINE)  # type: ignore[assignment]
        none = Number(method=method, what="average")
        found, without = with_search.get(method, none), defaults.get(method, none)
        difference = gains.summarise(cube.of_method(method) - plain.of_method(method))
        gain = Number(method=method, what="gain", mean=difference.mean, se=difference.se)
        kept = int((part["trial"] == 0).sum())
        line = dict(zip(METHOD, map(str, names), strict=True))
        text = {
            "trials": trials_text(part),
            "with search": found.text(1),
            "without": without.text(1),
            "gain": gain.text(2, signed=True),
        }
        rows.append({**line, **text, "default kept": f"{kept} of {len(part)}"})
        asked = {
            "trials": int(part["asked"].max()),
            "done": int(part["done"].min()),
            "default_kept": kept,
            "rows": len(part),
        }
        means = {"mean": found.mean, "se": found.se, "without": without.mean, "without_se": without.se}
        numbers.append(dict[str, Any](line) | asked | means | {"gain": gain.mean, "gain_se": gain.se})
    behind = traced("trials", (part["key"] for _, part in own.groupby(METHOD, sort=False)))
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows),
        numbers=pd.DataFrame(numbers),
        labels=len(METHOD),
        notes=(*how_chosen(own), _WITHOUT),
        traces=behind,
    )


def chosen_table(own: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of what was chosen: a line for each (method, target, seed), a column for each hyper-parameter."""
    names = list(names_in(own))
    shown = dict(zip(names, _short(names), strict=True))
    rows, numbers = [], []
    for row in own.to_dict("records"):
        label = {c: str(row[c]) for c in (*METHOD, "target", "seed")}
        values = json.loads(row["values"])
        text = {shown[n]: _value(values[n]) if n in values else "default" if _has(row, n) else "" for n in names}
        score = {"source": number_text(100 * row["source"], ".1f")}
        score["source, default"] = number_text(100 * row["default_source"], ".1f")
        rows.append({**label, "trial": f"{row['trial']} of {row['asked']}", **text, **score})
        kept = {key: row[key] for key in ("trial", "asked", "done", "source", "default_source")}
        numbers.append({**label, **kept, **{n: values.get(n) for n in names}})
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(rows),
        numbers=pd.DataFrame(numbers),
        labels=len(METHOD) + 2,
        notes=(*how_chosen(own), "source: mean accuracy in % on the source domains' validation parts, which chooses."),
        traces=traced("trial", ([row] for row in own["key"])),
    )


def search_tables(results: Results) -> Iterator[Table]:
    """Make both tables of each section that was searched."""
    if results.trials.empty:
        return
    yield from by_section(
        results, results.trials, "search", "What the search gives", make=lambda *told: gain_table(results, *told)
    )
    yield from by_section(results, results.trials, "chosen", "Hyper-parameters chosen", make=chosen_table)


def _averages(cube: Cube) -> dict[Method, Number]:
    return {number.method: number for number in numbers_of(cube) if number.what == "average"}


def _has(row: dict[Any, Any], name: str) -> bool:
    """Whether a hyper-parameter is one of the row's own, at the default of its class."""
    group, _, rest = name.partition(".")
    return rest.partition(".")[0] == row.get(group) if group in ("algorithm", "quantizer") else group == "protocol"


def _short(names: list[str]) -> list[str]:
    """The last parts of names where they are unique."""
    last = [name.rpartition(".")[2] for name in names]
    return [short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)]


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')
