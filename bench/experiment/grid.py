"""What is to be run: components, cells and groups of cells that share a float phase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from ..models.weights import file_sha256
from ..results.record import Labels, canonical, fingerprint
from ..results.verdict_rules import Rules
from .component import Component, QuantizerComponent
from .deploy import DeploySettings
from .flatness import FlatnessSettings
from .launcher import Launcher
from .noise_match import MatchRule
from .protocol import Protocol

TRAINING_VERSION = 3
"""Raised whenever a change makes the same settings train differently."""


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
    """These say where data, cache and results are; no identity has them."""

    out: Path
    data_root: Path | None
    cache: Path


def too_many_cells(count: int, most: int) -> ConfigError:
    """Return the error of a grid that is larger than anybody is likely to mean."""
    return ConfigError(
        f"a grid has at most {most:,} cells unless you say otherwise, this one has {count:,} or more; write fewer seeds, for "
        f"example seeds=3, or max_cells={count}"
    )


@dataclass(frozen=True)
class Experiment:
    """An experiment is a grid: every combination of target, seed, algorithm and quantizer."""

    dataset: Component
    model: Component
    protocol: Protocol
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

    def __post_init__(self) -> None:
        self.protocols()

    def check_size(self, domains: int) -> None:
        """Raise ConfigError where a data set of so many domains makes more than ``max_cells`` cells."""
        targets = len(self.targets) if self.targets else domains
        groups = len(self.protocols()) * len(self.seeds) * targets * len(self.algorithms)
        if groups * len(self.quantizers) > self.max_cells:
            raise too_many_cells(groups * len(self.quantizers), self.max_cells)

    def protocols(self) -> list[Protocol]:
        """Return the protocol once for each start step; ConfigError where one does not fit."""
        return [replace(self.protocol, start_step=s) for s in self.start_steps] or [self.protocol]

    def components(self) -> Iterator[tuple[str, Component]]:
        """Return all parts that are imported by name, each with its group."""
        yield from (("dataset", self.dataset), ("model", self.model), ("step_rule", self.step_rule))
        yield from (("optimizer", self.optimizer), ("schedule", self.schedule))
        yield from (("algorithm", part) for part in self.algorithms)
        yield from (("transform", part) for part in self.transforms)
        yield from (("quantizer", part) for part in self.quantizers)
        yield from (("averaging", part) for part in self.averages)

    def cells(self, domains: list[str], data_fingerprint: str) -> list[Cell]:
        """Return all cells in a stable order, those of a group together."""
        out = []
        weights_sha256 = file_sha256(self.model.options.get("weights"))
        places = product(self.protocols(), self.seeds, self.targets or domains, self.algorithms)
        for protocol, seed, target, algorithm in places:
            group = Group(
                dataset=self.dataset,
                data_fingerprint=data_fingerprint,
                target=target,
                seed=seed,
                model=self.model,
                protocol=protocol,
                algorithm=algorithm,
                transforms=self.transforms,
                step_rule=self.step_rule,
                optimizer=self.optimizer,
                schedule=self.schedule,
                weights_sha256=weights_sha256,
            )
            for q in self.quantizers:
                match = self.match if self.match and self.match.applies(q) else None
                out.append(Cell(group, q, self.averages, match, flatness=self.flatness))
        return out
