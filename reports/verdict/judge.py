"""The verdict: does quantization-aware training help, under every quantizer, and is it quantization that helps?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from ...bench.results.record import HEADLINE, quantizer_label
from ...bench.results.verdict_rules import Rules
from ..frames import gains
from ..frames.cube import Cube
from ..frames.results import Results, load
from ..stats.effect import Floats
from ..stats.multiple import conjunction, partial_conjunction
from ..stats.units import DataSets, Domains
from . import contrasts
from .claims import NAN, Claim, family
from .contrasts import ControlComparison, DifferenceInDifferences, Interaction
from .heterogeneity import Heterogeneity, compare_quantizers

Together = Literal["yes", "not shown", "not decidable", "incomplete"]


@dataclass(frozen=True, kw_only=True)
class Conjunction:
    """Judges all complete quantizers of one algorithm at once, by one-sided tests of "the gain is above 0".

    Attributes:
        names: the quantizers judged.
        incomplete: the quantizers that lack a cell.
        p_every: of the conjunction, the largest p; NaN without a quantizer.
        p_partial: entry u - 1 is the p of "at least u of them".
        at_least: how many gain, a lower bound at confidence 1 - alpha.
        answer: to "does the gain hold under every one of them"; ``incomplete`` where none is judged.
    """

    names: tuple[str, ...]
    incomplete: tuple[str, ...]
    p_every: float
    p_partial: tuple[float, ...]
    at_least: int
    answer: Together


@dataclass(frozen=True, kw_only=True)
class AlgorithmVerdict:
    """The verdict on one algorithm of one scope.

    Attributes:
        algorithm: the training that is quantized.
        expected_controls: what each control that a gain must beat does, in words, by its label.
        quantizers: each quantizer's gain over float, two-sided, Holm over quantizers.
        conjunction: whether the gain holds under every quantizer, and under how many.
        heterogeneity: whether the gain depends on the quantizer: all together, then each left out; empty below two.
        controls: each quantizer against each control, one-sided.
        interactions: each quantizer with each weight averaging.
        differences: whether this algorithm's gain over ERM changes under each quantizer; empty for ERM.
            These four are empty where the units are data sets, too few to decide anything.
    """

    algorithm: str
    expected_controls: dict[str, str]
    quantizers: list[Claim]
    conjunction: Conjunction
    heterogeneity: list[Heterogeneity]
    controls: list[ControlComparison]
    interactions: list[Interaction]
    differences: list[DifferenceInDifferences]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One data set, or several side by side, judged.

    Attributes:
        about: what of it the claims are about, ``further domains of `` or ``further data sets beside ``; empty for one data set.
        where: data sets, model and protocol, in words.
        file: a part of file names, unique whatever the labels hold.
        selection: the rule whose accuracies count.
        cube: the accuracies.
        algorithms: the verdict on each.
    """

    about: str
    where: str
    file: str
    selection: str
    cube: Cube = field(repr=False, compare=False)
    algorithms: list[AlgorithmVerdict]

    @property
    def name(self) -> str:
        """Return what headings call it."""
        return f"{self.about}{self.where}"

    @property
    def units(self) -> Domains:
        """Return what the claims generalise over."""
        return self.cube.units

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the replicates."""
        return self.cube.seeds

    @property
    def domains(self) -> tuple[str, ...]:
        """Return the names of the units."""
        return self.units.names


@dataclass(frozen=True)
class Verdict:
    """What the records decide.

    Attributes:
        rules: the level and margin that were fixed beforehand.
        scopes: several data sets together, their further domains and further data sets; then each data set.
    """

    rules: Rules
    scopes: list[Scope]


def conjunction_of(rows: dict[str, Floats], units: Domains, rules: Rules) -> Conjunction:
    """Judge all complete rows at once, from gains of shape (units, seeds)."""
    whole = {name: values for name, values in rows.items() if np.isfinite(values).all()}
    gaps = tuple(name for name in rows if name not in whole)
    if not whole:
        return Conjunction(names=(), incomplete=gaps, p_every=NAN, p_partial=(), at_least=0, answer="incomplete")
    p = units.p(np.stack([values.mean(axis=1) for values in whole.values()]), "greater")
    partial = partial_conjunction(p)
    every = float(conjunction(p))
    answer: Together = "yes" if every <= rules.alpha else "not shown"
    if units.smallest_p("greater") > rules.alpha:
        answer = "not decidable"
    return Conjunction(
        names=tuple(whole),
        incomplete=gaps,
        p_every=every,
        p_partial=tuple(map(float, partial)),
        at_least=int((partial <= rules.alpha).sum()),
        answer=answer,
    )


def _judge_algorithm(cube: Cube, algorithm: str, selection: str, results: Results) -> AlgorithmVerdict:
    rules, roles = results.rules, results.roles
    found = {m: values for m, values in gains.over_float(cube, selection) if m[0] == algorithm}
    rows = {quantizer_label(m[1], m[2]): values for m, values in found.items() if roles.is_method(m[1])}
    expected = roles.expected_controls(m[1] for m in cube.methods)
    methods = [m for m in found if roles.is_method(m[1])]
    keys = {quantizer_label(m[1], m[2]): cube.keys_of(m, gains.float_of(m)) for m in methods}
    compared = [] if isinstance(cube.units, DataSets) and cube.units.smallest_p("greater") > rules.alpha else methods
    return AlgorithmVerdict(
        algorithm=algorithm,
        expected_controls=expected,
        quantizers=[replace(c, keys=keys[c.name]) for c in family(rows, cube.units, rules)],
        conjunction=conjunction_of(rows, cube.units, rules),
        heterogeneity=compare_quantizers(rows, keys, cube.units, rules) if compared else [],
        controls=contrasts.against_controls(cube, compared, expected, rules),
        interactions=contrasts.interactions(cube, compared, rules),
        differences=contrasts.differences_in_differences(cube, compared, rules),
    )


def _judged(cube: Cube, selection: str, results: Results) -> list[AlgorithmVerdict]:
    algorithms = dict.fromkeys(m[0] for m in cube.methods if m[3] == selection)
    return [_judge_algorithm(cube, algorithm, selection, results) for algorithm in algorithms]


def _scopes(results: Results) -> Iterator[tuple[str, str, str, Cube]]:
    """What it is about, where, part of file names and accuracies: each line-up of several data sets, about their further domains and about further data sets; then each section.

    One data set at several severities is judged at each of them, and not as if they were several.
    """
    for line_up, part in zip(results.line_ups, results.line_up_names, strict=True):
        if line_up.independent:
            together = results.cubes_together[line_up]
            yield "further domains of ", line_up.scope, f"domains-{part}", together
            yield "further data sets beside ", line_up.scope, f"datasets-{part}", together.by_dataset()
    for section, part in results.section_names.items():
        yield "", ", ".join(section), part, results.cubes[section]


def judge(results: Results, selection: str = HEADLINE) -> Verdict:
    """Decide the claims from loaded results, by their rules.

    Args:
        results: of a run folder.
        selection: the rule whose accuracies count.
    """
    # thousands of small products, for which threads cost more than they give
    with threadpool_limits(1, user_api="blas"):
        found = [
            Scope(
                about=about,
                where=where,
                file=file,
                selection=selection,
                cube=cube,
                algorithms=_judged(cube, selection, results),
            )
            for about, where, file, cube in _scopes(results)
        ]
    return Verdict(results.rules, found)


def chosen(fixed: Rules, margin: float | None, alpha: float | None) -> Rules:
    """Return the rules fixed with a run, with what is given here in their place."""
    return Rules(fixed.alpha if alpha is None else alpha, fixed.margin if margin is None else margin)


def judge_folder(
    root: Path, margin: float | None = None, alpha: float | None = None, selection: str = HEADLINE
) -> Verdict:
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
