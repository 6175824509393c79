"""The verdict: does quantization-aware training help, under every quantizer, and is it quantization that helps?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...bench.results.verdict_rules import Rules
from ..frames import gains
from ..frames.columns import PRIMARY, SECTION, quantizer_label
from ..frames.cube import Cube, Floats
from ..frames.results import Results, load
from ..frames.roles import Roles
from ..stats.multiple import conjunction, partial_conjunction
from ..stats.signflip import sign_flip, smallest_p
from . import contrasts
from .claims import Claim, family
from .contrasts import Against, Change, Square
from .heterogeneity import Differ, heterogeneity


@dataclass(frozen=True)
class Together:
    """All complete quantizers of one algorithm at once; one-sided tests of "the gain is above 0".

    Attributes:
        names: the quantizers judged. incomplete: those that lack a cell.
        p_every: of the conjunction, the largest p; NaN without a quantizer.
        p_partial: entry u - 1 is the p of "at least u of them".
        at_least: how many gain, a lower bound at confidence 1 - alpha.
        answer: to "does the gain hold under every one of them".
    """

    names: tuple[str, ...]
    incomplete: tuple[str, ...]
    p_every: float
    p_partial: tuple[float, ...]
    at_least: int
    answer: str


@dataclass(frozen=True)
class Judged:
    """The verdict on one algorithm of one scope.

    Attributes:
        algorithm: the training that is quantized.
        expected_controls: what each control that a gain must beat does, in words, by its label.
        quantizers: each quantizer's gain over float, two-sided, Holm over quantizers.
        together: conjunction and partial conjunction.
        differ: whether the gain depends on the quantizer: all together, then each left out; empty below two.
        controls: each quantizer against each control, one-sided.
        squares: quantizer x weight averaging.
        changes: whether this algorithm's gain over ERM changes under each quantizer; empty for ERM.
    """

    algorithm: str
    expected_controls: dict[str, str]
    quantizers: list[Claim]
    together: Together
    differ: list[Differ]
    controls: list[Against]
    squares: list[Square]
    changes: list[Change]


@dataclass(frozen=True)
class Scope:
    """One data set, or several of the same model and protocol, judged.

    Attributes:
        name: for headings. selection: the rule whose accuracies count.
        domains, seeds: the units and the replicates.
        judged: by algorithm.
    """

    name: str
    selection: str
    domains: tuple[str, ...]
    seeds: tuple[int, ...]
    judged: list[Judged]


@dataclass(frozen=True)
class Verdict:
    """All scopes, and the rules that were fixed beforehand."""

    rules: Rules
    scopes: list[Scope]


def _together(cube: Cube, rows: dict[str, Floats], rules: Rules) -> Together:
    whole = {name: values for name, values in rows.items() if np.isfinite(values).all()}
    gaps = tuple(name for name in rows if name not in whole)
    if not whole:
        return Together((), gaps, float("nan"), (), 0, "incomplete")
    p = sign_flip(np.stack([values.mean(axis=1) for values in whole.values()]), "greater")
    partial = partial_conjunction(p)
    every = float(conjunction(p))
    answer = "yes" if every <= rules.alpha else "not shown"
    if smallest_p(len(cube.targets), "greater") > rules.alpha:
        answer = "not decidable"
    at_least = int((partial <= rules.alpha).sum())
    return Together(tuple(whole), gaps, every, tuple(map(float, partial)), at_least, answer)


def _judge(cube: Cube, algorithm: str, selection: str, rules: Rules, roles: Roles) -> Judged:
    found = {m: values for m, values in gains.over_float(cube, selection) if m[0] == algorithm}
    rows = {quantizer_label(m[1], m[2]): values for m, values in found.items() if roles.is_method(m[1])}
    expected = roles.expected_controls(m[1] for m in cube.methods)
    methods = [m for m in found if roles.is_method(m[1])]
    keys = {quantizer_label(m[1], m[2]): cube.keys_of(m, gains.float_of(m)) for m in methods}
    return Judged(
        algorithm,
        expected,
        [replace(c, keys=keys[c.name]) for c in family(rows, cube.targets, rules)],
        _together(cube, rows, rules),
        heterogeneity(rows, keys, rules),
        contrasts.against_controls(cube, methods, expected, rules),
        contrasts.squares(cube, methods, rules),
        contrasts.changes(cube, methods, rules),
    )


def _scope(name: str, cells: pd.DataFrame, selection: str, rules: Rules, roles: Roles) -> Scope:
    cube = Cube.of(cells)
    algorithms = dict.fromkeys(m[0] for m in cube.methods if m[3] == selection)
    judged = [_judge(cube, algorithm, selection, rules, roles) for algorithm in algorithms]
    return Scope(name, selection, cube.targets, cube.seeds, judged)


def _scopes(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each section; then, per model and protocol, all data sets together where there are several."""
    for section, cells in results.sections():
        yield ", ".join(section), cells
    for (model, protocol), cells in results.cells.groupby(SECTION[1:], sort=True):
        if cells["dataset"].nunique() > 1:
            yield f"{' + '.join(sorted(cells['dataset'].unique()))}, {model}, {protocol}", cells


def judge(results: Results, selection: str = PRIMARY) -> Verdict:
    """`verdict` on results that are loaded already, by their rules."""
    rules = results.rules
    return Verdict(rules, [_scope(name, cells, selection, rules, results.roles) for name, cells in _scopes(results)])


def chosen(fixed: Rules, margin: float | None, alpha: float | None) -> Rules:
    """The rules fixed with a run; what is given here replaces them."""
    return Rules(fixed.alpha if alpha is None else alpha, fixed.margin if margin is None else margin)


def verdict(root: Path, margin: float | None = None, alpha: float | None = None, selection: str = PRIMARY) -> Verdict:
    """Decide the claims from the records of a run folder.

    Args:
        root: the run folder.
        margin: largest difference in points that does not matter (equivalence); None: as fixed with the run.
        alpha: level of every test; None: as fixed with the run.
        selection: the rule whose accuracies count.

    Raises:
        ConfigError: margin or alpha out of range.
        RecordError: ``root`` is not a run folder of this schema.
    """
    results = load(root)
    return judge(replace(results, rules=chosen(results.rules, margin, alpha)), selection)
