"""From a composed configuration to an Experiment; every value is checked here, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import ConfigError
from ...core.numbers import check_numbers
from ...core.paths import default_cache, user_path
from ...core.repeats import refuse_repeats
from ...quantizers.spec import QuantSpec, Rule, check_bits
from ..results.verdict_rules import Rules
from .component import QuantizerComponent
from .controls import acts_on_weights_only, passed_by
from .deploy import DeploySettings
from .flatness import FlatnessSettings
from .grid import Experiment, Paths, too_many_cells
from .nodes import (
    Node,
    dataclass_from,
    options_of,
    parts_of,
    settings_in,
    single_part,
    some_of,
    target_of,
    value_of,
    with_weights,
)
from .noise_match import read_match
from .offers import find_offer
from .protocol import Protocol
from .registry import origin_of
from .search import ALONE, SHARED, configured_search, take_lists
from .setup import Setup, launcher_for, refuse_same


class Composed(NamedTuple):
    """This is a configuration: all groups and settings, resolved, and the name chosen in each group that takes one."""

    config: Node
    choices: Mapping[str, str]


def assemble(shared: Composed, alone: Sequence[Composed], reference: Node | None) -> Experiment:
    """Return the experiment that configurations describe.

    Args:
        shared: what holds for all data sets.
        alone: for each data set, as if it were the only one; its groups dataset, model, protocol and data count, and
            averaging where it has settings of its own.
        reference: the settings of the quantizer that ``match_to`` names; None where it names none.

    Raises:
        ConfigError: something is missing, unknown, of the wrong type or out of range.
    """
    config, lists = take_lists(shared.config, SHARED)
    several = [take_lists(own.config, ALONE) for own in alone]
    alone = [own._replace(config=taken) for own, (taken, _) in zip(alone, several, strict=True)]
    most = _max_cells(value_of(config, "max_cells"))
    single = partial(single_part, shared.choices)
    parts = [tuple(_setup(node, own.choices) for node in _severities(own.config)) for own in alone]
    setups = tuple(setup for part in parts for setup in part)
    paths = _paths(config, {part[0].dataset.name: own.config for part, own in zip(parts, alone, strict=True)})
    seeds = _seeds(value_of(config, "seeds"), most)
    refuse_same(setups, {setup.name: paths.root_of(setup.dataset.name) for setup in setups})
    return Experiment(
        setups=setups,
        algorithms=parts_of("algorithm", some_of(config, "algorithm")),
        transforms=parts_of("transform", config.get("transform") or {}),
        step_rule=single("step_rule", value_of(config, "step_rule")),
        optimizer=single("optimizer", value_of(config, "optimizer")),
        schedule=single("schedule", value_of(config, "schedule")),
        quantizers=_quantizers(config),
        averages=parts_of("averaging", config.get("averaging") or {}),
        targets=_targets(value_of(config, "targets")),
        seeds=seeds,
        max_cells=most,
        paths=paths,
        launcher=launcher_for(setups, value_of(config, "launcher")),
        deploy=dataclass_from(DeploySettings, "deploy", config["deploy"]) if config.get("deploy") else None,
        match=read_match(
            config.get("match"), config.get("match_to"), config.get("bits"), partial(_reference, reference)
        ),
        flatness=dataclass_from(FlatnessSettings, "flatness", config["flatness"]) if config.get("flatness") else None,
        start_steps=_start_steps(config.get("start_steps")),
        tracking=_tracking(config.get("tracking")),
        rules=dataclass_from(Rules, "verdict", value_of(config, "verdict")),
        search=configured_search(
            settings_in("search", config.get("search") or {}),
            {s.name: s.lists(own, lists) for part, (_, own) in zip(parts, several, strict=True) for s in part},
            seeds,
        ),
    )


def _tracking(value: object) -> tuple[str, ...]:
    """Names of installed trackers."""
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"tracking takes a list of names, got {value!r}; write 'tracking=[tensorboard]'")
    for name in names:
        find_offer("tracker", name)
    refuse_repeats("tracking", names)
    return tuple(names)


def _severities(config: Node) -> list[Node]:
    """The configuration once for each entry of a list at ``dataset.severity``: each is a data set of its own."""
    dataset = settings_in("dataset", value_of(config, "dataset"))
    values = dataset.get("severity")
    if not isinstance(values, list):
        return [config]
    if not values or not all(type(value) in (int, float) for value in values):
        raise ConfigError(
            f"dataset.severity needs at least one number, and numbers only, got {values}; write 'dataset.severity=[0.5,1]'"
        )
    refuse_repeats("dataset.severity", values)
    return [{**config, "dataset": {**dataset, "severity": value}} for value in values]


def _setup(config: Node, choices: Mapping[str, str]) -> Setup:
    averages = config.get("averaging")
    made = Setup(
        dataset=single_part(choices, "dataset", value_of(config, "dataset")),
        model=single_part(choices, "model", with_weights("model", value_of(config, "model"))),
        protocol=dataclass_from(Protocol, "protocol", with_weights("protocol", value_of(config, "protocol"))),
        averages=parts_of("averaging", averages) if averages else None,
    )
    made.protocol.check_weights(made.model.options.get("weights"))
    return made


def _paths(config: Node, alone: Mapping[str, Node]) -> Paths:
    root, cache = _data(config)
    own = {name: _data(node) for name, node in alone.items()}
    return Paths(
        user_path(value_of(config, "out"), "out"),
        root,
        cache,
        roots={name: place for name, (place, _) in own.items() if place is not None and place != root},
        caches={name: place for name, (_, place) in own.items() if place != cache},
    )


def _data(config: Node) -> tuple[Path | None, Path]:
    """The folder of the data sets and that of decoded images."""
    data = settings_in("data", value_of(config, "data"))
    root, cache = data.get("root"), data.get("cache")
    return (
        None if root is None else user_path(root, "data.root"),
        default_cache() if cache is None else user_path(cache, "data.cache"),
    )


def _spec(name: str, node: Any, bits: int | None, act_bits: int | None) -> QuantSpec:
    rules = settings_in(f"quantizer.{name}.spec", node).get("rules", [])
    if not isinstance(rules, list):
        raise ConfigError(
            f"spec.rules must be a list, got {rules!r}; write for example [{{pattern: 'fc', skip: true}}]"
        )
    values = {**node, "rules": tuple(dataclass_from(Rule, "rule", rule) for rule in rules)}
    values |= {key: value for key, value in (("weight_bits", bits), ("act_bits", act_bits)) if value is not None}
    spec: QuantSpec = dataclass_from(QuantSpec, f"quantizer.{name}.spec", values)
    return spec


def _quantizer(name: str, node: Any, bits: int | None, act_bits: int | None) -> QuantizerComponent:
    target = target_of(name, node)
    options = options_of("quantizer", name, target, settings_in(f"quantizer.{name}", node))
    reads = node.get("spec") is not None
    note = passed_by(name, act_bits) if reads and act_bits is not None and acts_on_weights_only(target) else ""
    spec = _spec(name, node["spec"], bits, None if note else act_bits) if reads else None
    origin = origin_of("quantizer", name, target)
    return QuantizerComponent(name, target, options, choice=name, origin=origin, spec=spec, note=note)


def _axis(config: Node, key: str) -> list[int | None]:
    value = config.get(key)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{key} needs at least one number, got none; write {key}=7 or '{key}=[4,7]'")
    for bits in values:
        check_bits(key, bits)
    refuse_repeats(key, values)
    return values


def _quantizers(config: Node) -> tuple[QuantizerComponent, ...]:
    out: dict[str, QuantizerComponent] = {}
    for bits in _axis(config, "bits"):
        for act_bits in _axis(config, "act_bits"):
            for name, node in some_of(config, "quantizer").items():
                quantizer = _quantizer(name, node, bits, act_bits)
                out[f"{name} {quantizer.spec}"] = quantizer
    return tuple(out.values())


def _reference(node: Node | None, name: str) -> QuantizerComponent:
    assert node is not None
    return _quantizer(name, node, None, None)


def _start_steps(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value or not all(type(s) is int for s in value):
        raise ConfigError(f"start_steps must be null or a list of steps, got {value!r}; write 'start_steps=[40,80]'")
    refuse_repeats("start_steps", value)
    return tuple(value)


def _seeds(value: Any, most: int) -> tuple[int, ...]:
    check_numbers("seeds", value)
    if type(value) is int and value > most:
        raise too_many_cells(value, most)
    seeds = list(range(value)) if type(value) is int else value
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
        raise ConfigError(
            f"seeds must be a count above 0 or a list of seeds, got {value!r}; write seeds=3 or 'seeds=[0,4]'"
        )
    refuse_repeats("seeds", seeds)
    return tuple(seeds)


def _max_cells(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ConfigError(f"max_cells must be a whole number above 0, got {value!r}; write for example max_cells=20000")
    return value


def _targets(value: Any) -> tuple[str, ...] | None:
    if value == "all":
        return None
    targets = value if isinstance(value, list) else [value]
    if not targets or not all(isinstance(t, str) for t in targets):
        raise ConfigError(
            f"targets must be all or a list of domain names, got {value!r}; write 'targets=[sketch,photo]'"
        )
    refuse_repeats("targets", targets)
    return tuple(targets)
