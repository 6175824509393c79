"""The main table: accuracy by target domain, its average, and the paired gain over float."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from ..frames import gains
from ..frames.columns import METHOD, ROW, of_section
from ..frames.cube import Cube, Method
from ..frames.results import Results
from ..stats.effect import Floats
from ..text.numbers import DASH
from .by_section import by_section
from .table import Table
from .trials import with_trials

_WORST_FIRST = ("failed", "unsupported", "unavailable", "missing")
_NAN = math.nan
_FIXED_NOTES = (
    "A domain with cells that are missing, failed, unsupported or unavailable shows them and is averaged nowhere.",
    "iid selects on source validation and is the primary row; oracle selects on the target and is no fair result.",
)


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of the table.

    Attributes:
        method: (algorithm, quantizer, bits, selection), the row.
        what: ``accuracy`` (percent; se over seeds; n seeds), ``average`` (percent, over domains; se over the
            seeds' averages; n seeds) or ``gain over float`` (points; se over domain means; n pairs).
        target: the domain, for ``accuracy``; else empty.
        mean: in percent or points; NaN where it would average over cells that are not there.
        se: its standard error; NaN where there is none.
        n: how many numbers went in.
        state: why there is no mean, else empty.
    """

    method: Method
    what: str
    target: str = ""
    mean: float = _NAN
    se: float = _NAN
    n: int = 0
    state: str = ""

    @classmethod
    def of(cls, method: Method, what: str, values: Floats, target: str = "") -> Number:
        """Make the mean of a vector with its standard error."""
        mean, se = float(values.mean()), gains.standard_error(values)
        return cls(method=method, what=what, target=target, mean=mean, se=se, n=len(values))

    def text(self, digits: int, signed: bool = False) -> str:
        """Write it as ``84.7 ± 0.5``; no interval without a standard error, a dash without a mean."""
        if math.isnan(self.mean):
            return DASH
        mean = f"{self.mean:{'+' if signed else ''}.{digits}f}"
        return mean if math.isnan(self.se) else f"{mean} ± {self.se:.{digits}f}"


def state_of(status: Sequence[str]) -> str:
    """Say what keeps some cells from having a number, for example ``failed 1/3``; empty if nothing does."""
    counts = Counter(status)
    return ", ".join(f"{name} {counts[name]}/{len(status)}" for name in _WORST_FIRST if counts[name])


def _method_lines(cube: Cube, i: int) -> list[Number]:
    """One line per target and one for their average."""
    method, values = cube.methods[i], cube.accuracy[i]
    lines = []
    for t, target in enumerate(cube.targets):
        if state := state_of(cube.status[i, t].tolist()):
            n = int(np.isfinite(values[t]).sum())
            lines.append(Number(method=method, what="accuracy", target=target, n=n, state=state))
        else:
            lines.append(Number.of(method, "accuracy", values[t], target))
    gaps = sum(bool(line.state) for line in lines)
    if gaps:
        state = f"{gaps} of {len(lines)} domains incomplete"
        return [*lines, Number(method=method, what="average", state=state)]
    return [*lines, Number.of(method, "average", np.asarray(values.mean(axis=0)))]


def numbers_of(cube: Cube) -> list[Number]:
    """List every number of one section's table, row by row."""
    gained = {method: gains.summarise(values) for method, values in gains.over_float(cube)}
    out: list[Number] = []
    for i, method in enumerate(cube.methods):
        out += _method_lines(cube, i)
        if method in gained:
            g = gained[method]
            state = "" if g.n_pairs else "incomplete pairs"
            gain = Number(method=method, what="gain over float", mean=g.mean, se=g.se, n=g.n_pairs, state=state)
            out.append(gain)
    return out


def _text(made: list[Number], targets: Sequence[str]) -> pd.DataFrame:
    rows = []
    for method, own in groupby(made, key=lambda line: line.method):
        at = {(line.what, line.target): line for line in own}
        domains = [at["accuracy", target] for target in targets]
        gain = at.get(("gain over float", ""))
        rows.append(
            [
                *method,
                *(line.state or line.text(1) for line in domains),
                at["average", ""].text(1),
                gain.text(2, signed=True) if gain else "",
                str(gain.n) if gain and gain.n else "",
            ]
        )
    return pd.DataFrame(rows, columns=[*ROW, *targets, "average", "gain over float", "pairs"])


def accuracy_table(cells: pd.DataFrame, name: str, title: str) -> Table:
    """Make the table of one section (data set, model, protocol) from rows of `quantdg.reports.frames.results.CELL`."""
    cube = Cube.of(cells)
    targets, seeds = cube.targets, cube.seeds
    listed = ", ".join(map(str, seeds))
    if len(seeds) == 1:
        notes = [
            f"Accuracy in % on the target's 80 % part, and its mean over domains; one seed ({listed}): no interval."
        ]
    else:
        over = f"mean ± standard error over {len(seeds)} seeds ({listed}), ddof 1"
        notes = [f"Accuracy in % on the target's 80 % part: {over}.", f"Average over domains within each seed: {over}."]
    spread = f"± standard error over {len(targets)} domain means, ddof 1"
    if len(targets) == 1:
        spread = "one target domain: no interval over domains"
    pairs = "mean over all (target, seed) pairs of the same algorithm and selection rule"
    notes.append(f"Gain over float in points: {pairs}, {spread}.")
    made = numbers_of(cube)
    columns = [*ROW, "what", "target", "mean", "se", "n", "state"]
    numbers = pd.DataFrame(
        [(*line.method, line.what, line.target, line.mean, line.se, line.n, line.state) for line in made],
        columns=columns,
    )
    traces = {
        (m, target): tuple(k for k in cube.keys[m, t] if k)
        for m in range(len(cube.methods))
        for t, target in enumerate(targets)
    }
    return Table(
        name=name,
        title=title,
        text=_text(made, targets),
        numbers=numbers,
        labels=len(METHOD) + 1,
        notes=(*notes, *_FIXED_NOTES),
        traces=traces,
    )


def accuracy_tables(results: Results) -> Iterator[Table]:
    """Make the main table of each section."""
    for table in by_section(results, results.cells, "accuracy", "Accuracy by target domain", make=accuracy_table):
        yield with_trials(table, of_section(results.trials, table.section) if table.section else results.trials)
