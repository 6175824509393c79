"""A cell with other hyper-parameters: what a trial of a search is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeVar

from ...core.errors import ConfigError
from ...core.numbers import canonical
from ...core.ranges import Range, draw
from ..results.trials import settings_path
from .component import Component, QuantizerComponent
from .grid import Cell, Experiment, Group
from .options import without_defaults
from .search import Search
from .setup import Setup
from .space import prefix_of

Values = Mapping[str, Any]
Part = TypeVar("Part", bound=Component)


@dataclass(frozen=True)
class TrialCell:
    """A trial cell is a cell and its place among the trials of its row.

    Attributes:
        number: 0 for the defaults.
        values: of the hyper-parameters, by name.
    """

    number: int
    values: Values
    cell: Cell


class Trials:
    """These make the trials of an experiment's cells.

    Args:
        search: how many, and which draws.
        spaces: the range of each hyper-parameter, by name, for each data set by its name.
    """

    def __init__(self, search: Search, spaces: Mapping[str, Mapping[str, Range]]) -> None:
        self.search, self.spaces = search, spaces
        self._groups: dict[tuple[int, str], Group] = {}

    def space(self, cell: Cell) -> dict[str, Range]:
        """Return the ranges of the hyper-parameters that a cell has."""
        prefixes = tuple(_prefixes(cell))
        found = self.spaces[cell.group.dataset.title]
        return {name: own for name, own in found.items() if name.startswith(prefixes)}

    def count(self, cell: Cell) -> int:
        """Return how many trials the row of a cell has: as many as are asked for, or all combinations of its lists."""
        if self.search.trials is not None:
            return self.search.trials
        return prod(len(own.ends) for own in self.space(cell).values())

    def values(self, cell: Cell, number: int) -> Values:
        """Return the hyper-parameters of one trial; trial 0 has the defaults.

        The same number has the same draws in every cell of a seed; on held-out seeds, in every cell.
        """
        if number == 0:
            return self.defaults(cell)
        if self.search.trials is None:
            return _combination(self.space(cell), number)
        seed = self.search.seeds[0] if self.search.held_out else cell.group.seed
        return {name: draw(own, seed, name, number) for name, own in self.space(cell).items()}

    def defaults(self, cell: Cell) -> Values:
        """Return the values of trial 0 that a cell's settings name; what they leave out is the default of its class."""
        found = {}
        for name in self.space(cell):
            node: Any = cell.settings
            for key in settings_path(name):
                node = node.get(key, ...) if isinstance(node, Mapping) else ...
            if node is not ...:
                found[name] = node
        return found

    def trial(self, cell: Cell, number: int, values: Values | None = None) -> TrialCell:
        """Return a trial of the row of ``cell``, which is its trial 0; ``values`` in place of draws.

        Raises:
            ConfigError: the values do not fit, or change what a table calls the cell.
        """
        if number == 0:
            return TrialCell(0, self.defaults(cell), cell)
        values = self.values(cell, number) if values is None else values
        made = self._configured(cell, values)
        if made.labels != cell.labels:
            said = ", ".join(f"{name}={value}" for name, value in values.items())
            raise ConfigError(
                f"a search sets what no table names, but {said} changes {cell.labels.path}; make it another run"
            )
        return TrialCell(number, canonical(values), made)

    def _configured(self, cell: Cell, values: Values) -> Cell:
        quantizer = _with(cell.quantizer, "quantizer", values)
        averages = _all_with(cell.averages, "averaging", values)
        return replace(cell, group=self._group(cell.group, values), quantizer=quantizer, averages=averages)

    def _group(self, group: Group, values: Values) -> Group:
        """One object for all cells that share it."""
        own = {name: value for name, value in values.items() if not name.startswith(("quantizer.", "averaging."))}
        place = id(group), repr(own)
        if place not in self._groups:
            self._groups[place] = configured_group(group, own)
        return self._groups[place]


def configured_group(group: Group, values: Values) -> Group:
    """Return a float phase with these hyper-parameters; the same object where they change nothing."""
    made = replace(
        group,
        algorithm=_with(group.algorithm, "algorithm", values),
        **_of_data_set(group, values),
        **_of_training(group, values),
    )
    return group if made == group else made


def configured_experiment(experiment: Experiment, values: Values) -> Experiment:
    """Return an experiment with these hyper-parameters in all its parts that have them."""
    return replace(
        experiment,
        setups=tuple(_configured_setup(setup, values) for setup in experiment.setups),
        algorithms=_all_with(experiment.algorithms, "algorithm", values),
        **_of_training(experiment, values),
        quantizers=_all_with(experiment.quantizers, "quantizer", values),
        averages=_all_with(experiment.averages, "averaging", values),
    )


def _configured_setup(setup: Setup, values: Values) -> Setup:
    averages = None if setup.averages is None else _all_with(setup.averages, "averaging", values)
    return replace(setup, averages=averages, **_of_data_set(setup, values))


def _of_data_set(whole: Group | Setup, values: Values) -> dict[str, Any]:
    return {
        "model": _with(whole.model, "model", values),
        "protocol": replace(whole.protocol, **_own("protocol.", values)),
    }


def _of_training(whole: Group | Experiment, values: Values) -> dict[str, Any]:
    return {
        "transforms": _all_with(whole.transforms, "transform", values),
        "step_rule": _with(whole.step_rule, "step_rule", values),
        "optimizer": _with(whole.optimizer, "optimizer", values),
        "schedule": _with(whole.schedule, "schedule", values),
    }


def _prefixes(cell: Cell) -> Iterator[str]:
    group = cell.group
    yield "protocol."
    single = {
        "model": group.model,
        "step_rule": group.step_rule,
        "optimizer": group.optimizer,
        "schedule": group.schedule,
    }
    for name, part in {**single, "algorithm": group.algorithm, "quantizer": cell.quantizer}.items():
        yield prefix_of(name, part)
    yield from (prefix_of("transform", part) for part in group.transforms)
    yield from (prefix_of("averaging", part) for part in cell.averages)


def _own(prefix: str, values: Values) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _with(part: Part, group: str, values: Values) -> Part:
    own = _own(prefix_of(group, part), values)
    if not own:
        return part
    changed: dict[str, Any] = {}
    if isinstance(part, QuantizerComponent) and part.spec is not None and (spec := _own("spec.", own)):
        changed["spec"] = replace(part.spec, **spec)
    options = {**part.options, **{name: value for name, value in own.items() if not name.startswith("spec.")}}
    return replace(part, options=without_defaults(group, part.choice or part.name, part.target, options), **changed)


def _all_with(parts: tuple[Part, ...], group: str, values: Values) -> tuple[Part, ...]:
    return tuple(_with(part, group, values) for part in parts)


def _combination(lists: Mapping[str, Range], number: int) -> dict[str, Any]:
    """One combination of lists; the last list varies fastest, the first combination has the first value of each."""
    found: dict[str, Any] = {}
    for name in reversed(list(lists)):
        values = lists[name].ends
        number, place = divmod(number, len(values))
        found[name] = values[place]
    return {name: found[name] for name in lists}
