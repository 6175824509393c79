"""The same rows of two run folders, paired by target domain and seed.

A row is (data set, algorithm, quantizer, bits, selection rule or weight average). Model and protocol are those of both
folders where they share some; where each has one of its own for a data set, these are compared, and the settings that
differ say so. The test is the verdict's: differences by domain, averaged over seeds, sign-flipped, Holm over the rows of
one data set and selection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ...bench.results.verdict_rules import Rules
from ..frames.columns import Section
from ..frames.cube import Cube, Method
from ..frames.results import Results
from ..stats.effect import Floats
from ..stats.units import Domains
from ..verdict.claims import Claim, family


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One row of both folders.

    Attributes:
        sections: of the first and of the second folder.
        method: (algorithm, quantizer, bits, selection).
        targets: the domains for which both have a result.
        seeds: likewise.
        first: accuracies, percent, shape (targets, seeds); NaN where either folder has none.
        second: likewise.
        claim: on second minus first, in points.
        keys: the records behind it, of both.
    """

    sections: tuple[Section, Section]
    method: Method
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    first: Floats
    second: Floats
    claim: Claim
    keys: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """How many (target, seed) both have."""
        return int(np.isfinite(self.first).sum())

    @property
    def equal(self) -> int:
        """In how many of the pairs the two accuracies are the same number."""
        return int((self.first == self.second).sum())


@dataclass(frozen=True)
class Comparison:
    """What two folders have in common and what not.

    Attributes:
        differences: row by row, in reading order.
        alone: per folder, what it alone has, in words.
        settings: (setting, its value in the first, in the second folder) -> how many methods it concerns.
        made_with: (what, in the first, in the second folder) of versions and machines that differ.
        rules: level of the tests.
    """

    differences: tuple[Difference, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    settings: dict[tuple[str, str, str], int]
    made_with: tuple[tuple[str, str, str], ...]
    rules: Rules = field(default_factory=Rules)


def section_pairs(first: Results, second: Results) -> list[tuple[Section, Section]]:
    """Say which sections are compared: equal ones, or the only ones that each folder has for a data set."""
    out: list[tuple[Section, Section]] = []
    for _, group in groupby(first.cubes, key=lambda section: section[0]):
        own = list(group)
        others = [section for section in second.cubes if section[0] == own[0][0]]
        both = [(section, section) for section in own if section in others]
        out += both or ([(own[0], others[0])] if len(own) == len(others) == 1 else [])
    return out


def differences(first: Results, second: Results, rules: Rules) -> Iterator[Difference]:
    """Pair the rows of two folders and test each (data set, selection)'s together."""
    for sections in section_pairs(first, second):
        cubes = first.cubes[sections[0]], second.cubes[sections[1]]
        shared = [method for method in cubes[0].methods if method in cubes[1].methods]
        for _, methods in groupby(shared, key=lambda method: method[3]):
            found = {method: _paired(method, *cubes) for method in methods}
            yield from _tested(sections, {m: p for m, p in found.items() if p.targets}, cubes, rules)


@dataclass(frozen=True)
class _Pairs:
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    first: Floats
    second: Floats


def _paired(method: Method, first: Cube, second: Cube) -> _Pairs:
    """The accuracies of one method where both folders have some, NaN in the gaps between."""
    targets = [t for t in first.targets if t in second.targets]
    seeds = [s for s in first.seeds if s in second.seeds]
    values = []
    for cube in (first, second):
        place = np.ix_([cube.targets.index(t) for t in targets], [cube.seeds.index(s) for s in seeds])
        values.append(cube.of_method(method)[place])
    there = np.isfinite(values[0]) & np.isfinite(values[1])
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    one, two = (np.where(there, v, np.nan)[np.ix_(rows, columns)] for v in values)
    return _Pairs(tuple(targets[i] for i in rows), tuple(seeds[i] for i in columns), one, two)


def _tested(
    sections: tuple[Section, Section], found: dict[Method, _Pairs], cubes: tuple[Cube, Cube], rules: Rules
) -> Iterator[Difference]:
    """Test the methods that share their domains together; Holm's correction is over them."""
    claims: dict[Method, Claim] = {}
    for targets in dict.fromkeys(pairs.targets for pairs in found.values()):
        own = {"\0".join(m): p.second - p.first for m, p in found.items() if p.targets == targets}
        claims |= {_method(c.name): c for c in family(own, Domains(targets), rules)}
    for method, pairs in found.items():
        keys = tuple(dict.fromkeys(key for cube in cubes for key in cube.keys_of(method)))
        yield Difference(
            sections=sections,
            method=method,
            targets=pairs.targets,
            seeds=pairs.seeds,
            first=pairs.first,
            second=pairs.second,
            claim=claims[method],
            keys=keys,
        )


def _method(name: str) -> Method:
    algorithm, quantizer, bits, selection = name.split("\0")
    return algorithm, quantizer, bits, selection
