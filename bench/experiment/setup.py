"""One data set of an experiment, with the model and the protocol that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from ...core.repeats import refuse_repeats
from .component import Component
from .launcher import Launcher
from .nodes import dataclass_from
from .protocol import Protocol

Lists = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Setup:
    """A setup is what may differ from one data set of an experiment to the next.

    Attributes:
        dataset: its title is the setup's name.
        model: trained on it.
        protocol: followed on it.
        averages: the experiment's, with settings of this data set's own; None: with none.
    """

    dataset: Component
    model: Component
    protocol: Protocol
    averages: tuple[Component, ...] | None = None

    @property
    def name(self) -> str:
        """Return the data set's name, as tables show it."""
        return self.dataset.title

    def lists(self, own: Lists, shared: Lists) -> Lists:
        """Return the lists in place of single values, its own and the shared ones; with averages of its own, not theirs."""
        alone = self.averages is not None
        return {**own, **{name: some for name, some in shared.items() if not (alone and name.startswith("averaging."))}}

    def protocols(self, start_steps: Sequence[int]) -> list[Protocol]:
        """Return the protocol once for each start step, itself for none; ConfigError where one does not fit."""
        return [replace(self.protocol, start_step=step) for step in start_steps] or [self.protocol]


def refuse_same(setups: Sequence[Setup], roots: Mapping[str, Path | None]) -> None:
    """Raise ConfigError where two setups have one name, or the same data set under two; ``roots`` are by name."""
    refuse_repeats("dataset", [setup.name for setup in setups])
    seen: list[Setup] = []
    for setup in setups:
        for other in seen:
            if (replace(setup.dataset, name=other.dataset.name), roots[setup.name]) == (
                other.dataset,
                roots[other.name],
            ):
                raise ConfigError(
                    f"each data set counts once, {other.name} and {setup.name} are the same with the same settings; leave one "
                    f"out of dataset, or write dataset.{setup.name}.SETTING=VALUE"
                )
        seen.append(setup)


def refuse_same_content(fingerprints: Mapping[str, str]) -> None:
    """Raise ConfigError where two data sets, by name, turn out to hold the same images and labels."""
    seen: dict[str, str] = {}
    for name, fingerprint in fingerprints.items():
        if fingerprint in seen:
            raise ConfigError(
                f"each data set counts once, {seen[fingerprint]} and {name} hold the same images; leave one out of dataset"
            )
        seen[fingerprint] = name


def launcher_for(setups: Sequence[Setup], node: Any) -> Launcher:
    """Return the launcher of a configuration's node, told how many processes the largest cell has."""
    made: Launcher = dataclass_from(Launcher, "launcher", node)
    return replace(made, processes=max(setup.protocol.processes for setup in setups))
