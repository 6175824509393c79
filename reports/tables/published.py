"""Accuracies that papers report, beside what the records hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..frames import gains
from ..frames.columns import Section
from ..frames.cube import Cube, Method
from ..frames.results import Results
from ..frames.roles import base_name
from ..text.numbers import DASH
from .papers import Paper, PublishedAccuracy, papers
from .table import Table, traced


class Measured(NamedTuple):
    """A number of the records, percent, with its standard error, the keys behind it, and where it is from."""

    text: str
    keys: tuple[str, ...]
    mean: float
    error: float
    where: str = ""


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _variant(settings: Mapping[str, Any]) -> dict[str, str]:
    """What a paper's ablation may vary, of a method's settings; the usual granularity and noise go without saying."""
    steps, granularity = settings.get("protocol.steps"), settings.get("quantizer.spec.granularity")
    amplitude = settings.get("quantizer.options.amplitude")
    said = {"start": f"{settings.get('protocol.start_step', 0) / steps:.2g}"} if steps else {}
    said |= {"granularity": str(granularity)} if granularity not in (None, "per_channel") else {}
    return said | ({"amplitude": f"{amplitude:g}"} if amplitude is not None else {})


def _is(row: PublishedAccuracy, method: Method, form: str) -> bool:
    """Whether a method of the records is the counterpart of the paper's; where to start counts only if the row says it."""
    named = (base_name(method[0]), base_name(method[1]), *method[2:])
    if named != (row.algorithm, row.quantizer, row.bits, row.selection):
        return False
    asked, variant = dict([row.setting.split("=")] if row.setting else []), _variant(json.loads(form))
    if "start" not in asked:
        variant.pop("start", None)
    return variant == asked


def _number(row: PublishedAccuracy, cube: Cube, method: Method, sources: Mapping[str, float]) -> Measured | None:
    """The mean and its standard error; None as soon as one cell is missing."""
    i = cube.methods.index(method)
    values, keys = cube.accuracy[i], cube.keys[i]
    if row.on:
        values = np.vectorize(lambda key: 100 * sources.get(key, math.nan), otypes=[float])(keys)
    if row.target:
        at = [j for j, name in enumerate(cube.targets) if _plain(name).startswith(_plain(row.target))]
        if len(at) != 1:
            return None
        values, keys = values[at], keys[at]
    mean = float(values.mean())  # NaN as soon as one cell is missing
    if math.isnan(mean):
        return None
    se = gains.standard_error(values.mean(axis=0))
    text = f"{mean:.1f}" if math.isnan(se) else f"{mean:.1f} ± {se:.1f}"
    return Measured(text, tuple(map(str, keys.ravel())), mean, se)


def measured_beside(row: PublishedAccuracy, paper: Paper, results: Results) -> Iterator[Measured]:
    """Every number of the records that may stand beside one of the paper.

    A network of which the paper itself has rows stands beside those alone; any other, beside all, with its name.
    """
    theirs = {other.model for other in paper.accuracies} - {row.model}
    for section, cube in results.cubes.items():
        if _plain(section[0]) != _plain(row.dataset) or section[1] in theirs:
            continue
        for method in cube.methods:
            if _is(row, method, results.forms[(*section, *method[:3])]):
                found = _number(row, cube, method, _sources(results, section, method) if row.on else {})
                if found:
                    further = method[1].removeprefix(row.quantizer)
                    yield found._replace(where=f"{section[1]}, {section[2]}{further}")


def _sources(results: Results, section: Section, method: Method) -> dict[str, float]:
    """The source-validation accuracy behind each record's row, 0 to 1."""
    cells = results.cells[["dataset", "model", "protocol", "selection", "key", "source"]]
    here = cells[(cells[["dataset", "model", "protocol", "selection"]] == [*section, method[3]]).all(axis=1)]
    return dict(zip(here["key"], here["source"], strict=True))


def published_table(paper: Paper, results: Results) -> Table | None:
    """Put one paper's numbers and the measured ones side by side; None where it has no data set of the folder."""
    here = {_plain(section[0]) for section in results.cubes}
    text, numbers, behind = [], [], []
    for row in paper.accuracies:
        if _plain(row.dataset) not in here:
            continue
        made = list(measured_beside(row, paper, results))
        found = "; ".join(f"{one.text} ({one.where})" for one in made)
        behind.append([key for one in made for key in one.keys])
        error = "" if row.standard_error is None else f" ± {row.standard_error:.1f}"
        where = "source" if row.on else row.target or "mean"
        named = row.method + ("" if row.selection in ("", "iid") else f" [{row.selection}]")
        text.append((row.table, row.dataset, where, row.model, named, f"{row.accuracy:.1f}{error}", found or DASH))
        numbers.append((*row, found))
    if not text:
        return None
    columns = ["table", "data set", "target", "network", "method", "reported", "measured"]
    return Table(
        name=f"published-{paper.name}",
        title=paper.title,
        text=pd.DataFrame(text, columns=columns),
        numbers=pd.DataFrame(numbers, columns=[*PublishedAccuracy._fields, "measured"]),
        labels=5,
        notes=paper.notes,
        traces=traced("measured", behind),
    )


def published_tables(results: Results) -> list[Table]:
    """Make one table for each paper with a data set of the folder."""
    return [table for paper in papers() if (table := published_table(paper, results)) is not None]
