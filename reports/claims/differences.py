"""The paired differences that a claim's contrast is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...bench.results.record import HEADLINE
from ..frames.columns import FLOAT
from ..frames.cube import Cube, Method
from ..frames.gains import float_of
from ..frames.results import Results
from ..stats.effect import Floats
from ..text.numbers import counted
from ..verdict.contrasts import control_of
from .ground import label_of, on_common_seeds, picked, started
from .statement import RowPick, StatedClaim

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The differences of one claim on one scope.

    Attributes:
        cube: the accuracies, of the seeds that all rows have.
        rows: differences by name, shape (units, seeds), in points or in the unit of the metric; without ``against`` what was
            measured itself.
        methods: the row that each difference is about.
        keys: records behind each.
        absent: rows that are not there, in words.
    """

    cube: Cube
    rows: dict[str, Floats]
    methods: dict[str, Method]
    keys: dict[str, tuple[str, ...]]
    absent: tuple[str, ...]


def paired(claim: StatedClaim, cube: Cube, results: Results) -> Differences:
    """Pair each picked row with what it stands against.

    Args:
        claim: with ``rows`` and ``against``.
        cube: accuracies, or what else the claim is about.
        results: of the run folder.
    """
    absent: list[str] = []
    corners: dict[str, tuple[Method, ...]] = {}
    for pick in claim.rows:
        found, lacking = picked(pick, cube, results)
        absent += lacking
        for method in found:
            for wanted in _contrasts(method, claim, cube):
                here = [m in cube.methods for m in wanted]
                absent += [_words(m) for m, there in zip(wanted, here, strict=True) if not there]
                if all(here):
                    corners[_name(wanted, claim)] = wanted
    kept = on_common_seeds(cube, {m for wanted in corners.values() for m in wanted}) if corners else cube
    return Differences(
        cube=kept,
        rows={name: _difference(kept, wanted) for name, wanted in corners.items()},
        methods={name: wanted[0] for name, wanted in corners.items()},
        keys={name: kept.keys_of(*wanted) for name, wanted in corners.items()},
        absent=tuple(dict.fromkeys(absent)),
    )


def _contrasts(method: Method, claim: StatedClaim, cube: Cube) -> Iterator[tuple[Method, ...]]:
    """A row and what is subtracted; with ``when`` both once more, changed; alone where it is correlated."""
    if not claim.against:
        yield (method,)
    for change in claim.against:
        plain = (method, _changed(method, change, cube))
        yield plain if claim.when is None else (*plain, *(_changed(m, claim.when, cube) for m in plain))


def _changed(method: Method, change: RowPick, cube: Cube) -> Method:
    """The row with some columns changed; a control or float has bits of its own."""
    algorithm, quantizer, bits, selection = method
    if change.algorithm or change.start:
        base, _, start = algorithm.partition(" from ")
        named = [label_of(name, {m[0] for m in cube.methods}) or name for name in change.algorithm]
        algorithm = started(*(named or [base]), *(change.start or (start,)))
    selection = change.selection[0] if change.selection else selection
    moved: Method = (algorithm, quantizer, bits, selection)
    if change.quantizer:
        if change.quantizer[0] == FLOAT:
            return float_of(moved)
        name = label_of(change.quantizer[0], {m[1] for m in cube.methods}) or change.quantizer[0]
        found = None if change.bits else control_of(cube, moved, name)
        moved = found or (algorithm, name, bits, selection)
    return (moved[0], moved[1], change.bits[0], moved[3]) if change.bits else moved


def _difference(cube: Cube, corners: tuple[Method, ...]) -> Floats:
    if len(corners) == 1:
        return cube.of_method(corners[0])
    plain = cube.difference(*corners[:2])
    return plain if len(corners) == 2 else np.asarray(cube.difference(*corners[2:]) - plain)


def _words(method: Method) -> str:
    algorithm, quantizer, bits, selection = method
    base, _, start = algorithm.partition(" from ")
    said = {"selection": () if selection == HEADLINE else (selection,), "start": (start,) if start else ()}
    return RowPick(quantizer=(quantizer,), bits=(bits,), algorithm=(base,), **said).words


def _name(corners: tuple[Method, ...], claim: StatedClaim) -> str:
    """A row alone where all stand against one thing, else both."""
    return _words(corners[0]) if len(claim.against) < 2 else f"{_words(corners[0])} - {_words(corners[1])}"


def rows_text(rows: tuple[str, ...]) -> str:
    """Name rows, the first of many."""
    more = len(rows) - _SHOWN
    return ", ".join(rows[:_SHOWN]) + (f" and {counted(more, 'more row')}" if more > 0 else "")
