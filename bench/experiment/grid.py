"""What is to be run: components, cells and groups of cells that share a float phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from ...core.numbers import canonical
from ..models.weights import file_sha256
from ..results.record import TRAINING_VERSION, Labels, fingerprint
from ..results.verdict_rules import Rules
from .component import Component, QuantizerComponent
from .deploy import DeploySettings
from .flatness import FlatnessSettings
from .launcher import Launcher
from .noise_match import MatchRule
from .protocol import Protocol
from .search import Search
from .setup import Setup
from .targets import Outlines, targets_of


@dataclass(frozen=True)
class Group:
    """Cells that share a group have the same float phase: one (data set, target, seed, algorithm)."""

    dataset: Component
    data_fingerprint: str
    target: str
    seed: int
    model: Component
    protocol: Protocol
    algorithm: Component
    transforms: tuple[Component, ...]
    step_rule: Component
    optimizer: Component
    schedule: Component
    weights_sha256: str = ""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The identity of the float phase; a weights file counts by its content, not by where it lies."""
        settings: dict[str, Any] = canonical(
            {
                "training_version": TRAINING_VERSION,
                "dataset": {**self.dataset.identity, "fingerprint": self.data_fingerprint},
                "target": self.target,
                "seed": self.seed,
                "model": self.model.identity if not self.weights_sha256 else self._model_with_weights(),
                "protocol": self.protocol.settings,
                "algorithm": self.algorithm.identity,
                "transforms": {t.name: t.identity for t in self.transforms},
                "step_rule": self.step_rule.identity,
                "optimizer": self.optimizer.identity,
                "schedule": self.schedule.identity,
            }
        )
        return settings

    def _model_with_weights(self) -> dict[str, Any]:
        options = {**self.model.options, "weights": Path(self.model.options["weights"]).name}
        return {**self.model.identity, "options": options, "weights_sha256": self.weights_sha256}

    @cached_property
    def key(self) -> str:
        """The fingerprint of the settings."""
        return fingerprint(self.settings)

    @property
    def method(self) -> str:
        """Algorithm, transforms and what else is not the default, for example ``erm+mixup+sam``."""
        parts = ((self.step_rule, "plain"), (self.optimizer, "adam"), (self.schedule, "none"))
        changed = [part.name for part, usual in parts if part.name != usual]
        return "+".join([self.algorithm.name, *(t.name for t in self.transforms), *changed])

    @property
    def label(self) -> str:
        """Progress lines say this."""
        return f"{self.dataset.title}/{self.target} seed {self.seed} {self.method}"


@dataclass(frozen=True)
class Cell:
    """A cell is one quantizer on one group; ``averages`` observe its training, or one takes part in it.

    ``match`` chooses its bits or step scale; ``flatness`` is measured afterwards and is no part of the identity.
    """

    group: Group
    quantizer: QuantizerComponent
    averages: tuple[Component, ...]
    match: MatchRule | None = None
    flatness: FlatnessSettings | None = None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The identity of the cell."""
        averages = {a.name: a.identity for a in self.averages}
        matched = {"match": self.match.identity} if self.match else {}
        own = canonical({"quantizer": self.quantizer.identity, "averages": averages, **matched})
        return {**self.group.settings, **own}

    @cached_property
    def key(self) -> str:
        """The fingerprint of the settings is the record's name."""
        return fingerprint(self.settings)

    @property
    def labels(self) -> Labels:
        """Tables group by these."""
        group, spec = self.group, self.quantizer.spec
        return Labels(
            dataset=group.dataset.title,
            target=group.target,
            seed=group.seed,
            algorithm="+".join([group.method, *(a.name for a in self.averages if a.trains)]),
            quantizer=self.quantizer.name,
            bits=(self.match.label(spec) if self.match else spec.label) if spec else "float",
            model=group.model.architecture,
            protocol=group.protocol.name,
        )


@dataclass(frozen=True)
class Paths:
    """These say where data, cache and results are; no identity has them.

    Attributes:
        out: the run folder.
        data_root: the folder that holds the data sets.
        cache: of decoded images.
        roots: ``data_root`` of single data sets, by name, where it is another.
        caches: the same of ``cache``.
    """

    out: Path
    data_root: Path | None
    cache: Path
    roots: Mapping[str, Path] = field(default_factory=dict)
    caches: Mapping[str, Path] = field(default_factory=dict)

    def root_of(self, dataset: str) -> Path | None:
        """Return the folder that holds a data set, or is it."""
        return self.roots.get(dataset, self.data_root)

    def cache_of(self, dataset: str) -> Path:
        """Return the folder of a data set's decoded images."""
        return self.caches.get(dataset, self.cache)


def too_many_cells(count: int, most: int) -> ConfigError:
    """Return the error of a grid that is larger than anybody is likely to mean."""
    return ConfigError(
        f"a grid has at most {most:,} cells unless you say otherwise, this one has {count:,} or more; write fewer seeds, for "
        f"example seeds=3, or max_cells={count}"
    )


@dataclass(frozen=True)
class Experiment:
    """An experiment is a grid: every combination of data set, target, seed, algorithm and quantizer."""

    setups: tuple[Setup, ...]
    algorithms: tuple[Component, ...]
    transforms: tuple[Component, ...]
    step_rule: Component
    optimizer: Component
    schedule: Component
    quantizers: tuple[QuantizerComponent, ...]
    averages: tuple[Component, ...]
    targets: tuple[str, ...] | None
    seeds: tuple[int, ...]
    paths: Paths
    launcher: Launcher
    deploy: DeploySettings | None = None
    match: MatchRule | None = None
    flatness: FlatnessSettings | None = None
    start_steps: tuple[int, ...] = ()
    rules: Rules = field(default_factory=Rules)
    max_cells: int = 10_000
    search: Search | None = None
    tracking: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for setup in self.setups:
            setup.protocols(self.start_steps)

    def check_size(self, outlines: Outlines) -> None:
        """Raise ConfigError where the targets of all data sets make more than ``max_cells`` cells."""
        targets = sum(map(len, targets_of(self.targets, outlines).values()))
        groups = max(1, len(self.start_steps)) * len(self.seeds) * targets * len(self.algorithms)
        if groups * len(self.quantizers) > self.max_cells:
            raise too_many_cells(groups * len(self.quantizers), self.max_cells)

    def components(self) -> Iterator[tuple[str, Component]]:
        """Return all parts that are imported by name, each with its group."""
        for setup in self.setups:
            yield from (("dataset", setup.dataset), ("model", setup.model))
        yield from (("step_rule", self.step_rule), ("optimizer", self.optimizer), ("schedule", self.schedule))
        yield from (("algorithm", part) for part in self.algorithms)
        yield from (("transform", part) for part in self.transforms)
        yield from (("quantizer", part) for part in self.quantizers)
        yield from (
            ("averaging", part) for own in (self.averages, *(s.averages or () for s in self.setups)) for part in own
        )

    def averages_on(self, setup: Setup) -> tuple[Component, ...]:
        """Return the weight averages with the settings that they have on one data set."""
        return self.averages if setup.averages is None else setup.averages

    def cells(self, outlines: Outlines) -> list[Cell]:
        """Return all cells in a stable order, those of a group and those of a data set together."""
        targets = targets_of(self.targets, outlines)
        return [
            cell
            for setup in self.setups
            for group in self._groups(setup, targets[setup.name], outlines[setup.name].fingerprint)
            for cell in self._branches(group, self.averages_on(setup))
        ]

    def _groups(self, setup: Setup, targets: list[str], data_fingerprint: str) -> Iterator[Group]:
        weights_sha256 = file_sha256(setup.model.options.get("weights"))
        places = product(setup.protocols(self.start_steps), self.seeds, targets, self.algorithms)
        for protocol, seed, target, algorithm in places:
            yield Group(
                dataset=setup.dataset,
                data_fingerprint=data_fingerprint,
                target=target,
                seed=seed,
                model=setup.model,
                protocol=protocol,
                algorithm=algorithm,
                transforms=self.transforms,
                step_rule=self.step_rule,
                optimizer=self.optimizer,
                schedule=self.schedule,
                weights_sha256=weights_sha256,
            )

    def _branches(self, group: Group, averages: tuple[Component, ...]) -> Iterator[Cell]:
        for quantizer in self.quantizers:
            match = self.match if self.match and self.match.applies(quantizer) else None
            yield Cell(group, quantizer, averages, match, flatness=self.flatness)
