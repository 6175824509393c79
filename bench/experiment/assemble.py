"""From a composed configuration to an Experiment; every value is checked here, before anything is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

from ...core.errors import ConfigError, QuantDGError
from ...core.numbers import check_numbers
from ...core.paths import default_cache, user_path
from ...core.repeats import refuse_repeats
from ...quantizers.spec import QuantSpec, Rule, check_bits
from ..results.record import canonical
from ..results.verdict_rules import Rules
from .component import Component, QuantizerComponent, import_object
from .controls import acts_on_weights_only, passed_by
from .deploy import DeploySettings
from .flatness import FlatnessSettings
from .grid import Experiment, Paths, too_many_cells
from .launcher import Launcher
from .noise_match import read_match
from .offers import own_options
from .protocol import Protocol
from .registry import origin_of
from .signature import free_parameters
from .type_check import check_settings

Node = Mapping[str, Any]


def assemble(config: Node, choices: Mapping[str, str], reference: Node | None) -> Experiment:
    """Return the experiment that a configuration describes.

    Args:
        config: all groups and settings, resolved.
        choices: the name that was chosen in each group that takes one.
        reference: the settings of the quantizer that ``match_to`` names; None where it names none.

    Raises:
        ConfigError: something is missing, unknown, of the wrong type or out of range.
    """
    data = _settings("data", _value(config, "data"))
    most = _max_cells(_value(config, "max_cells"))
    root, cache = data.get("root"), data.get("cache")
    single = partial(_single, choices)
    made = Experiment(
        dataset=single("dataset", _value(config, "dataset")),
        model=single("model", _weights("model", _value(config, "model"))),
        protocol=_dataclass(Protocol, "protocol", _weights("protocol", _value(config, "protocol"))),
        algorithms=_components("algorithm", _some(config, "algorithm")),
        transforms=_components("transform", config.get("transform") or {}),
        step_rule=single("step_rule", _value(config, "step_rule")),
        optimizer=single("optimizer", _value(config, "optimizer")),
        schedule=single("schedule", _value(config, "schedule")),
        quantizers=_quantizers(config),
        averages=_components("averaging", config.get("averaging") or {}),
        targets=_targets(_value(config, "targets")),
        seeds=_seeds(_value(config, "seeds"), most),
        max_cells=most,
        paths=Paths(
            user_path(_value(config, "out"), "out"),
            None if root is None else user_path(root, "data.root"),
            default_cache() if cache is None else user_path(cache, "data.cache"),
        ),
        launcher=_dataclass(Launcher, "launcher", _value(config, "launcher")),
        deploy=_dataclass(DeploySettings, "deploy", config["deploy"]) if config.get("deploy") else None,
        match=read_match(
            config.get("match"), config.get("match_to"), config.get("bits"), partial(_reference, reference)
        ),
        flatness=_dataclass(FlatnessSettings, "flatness", config["flatness"]) if config.get("flatness") else None,
        start_steps=_start_steps(config.get("start_steps")),
        rules=_dataclass(Rules, "verdict", _value(config, "verdict")),
    )
    made.protocol.check_weights(made.model.options.get("weights"))
    return made


def _value(config: Node, key: str) -> Any:
    if config.get(key) in (None, ""):
        raise ConfigError(f"{key} cannot be left out; write {key}=VALUE, quantdg run --help shows what there is")
    return config[key]


def _some(config: Node, group: str) -> Node:
    chosen = config.get(group)
    if not chosen:
        raise ConfigError(f"{group} needs at least one choice, got none; write {group}=[NAME]")
    return _settings(group, chosen)


def _settings(what: str, node: Any) -> Node:
    if not isinstance(node, Mapping):
        raise ConfigError(f"{what} must hold settings, got {node!r}; write {what}.NAME=VALUE")
    return node


def _weights(what: str, node: Any) -> Node:
    """With ``weights: none``, the word of the command line, as None."""
    return {**node, "weights": None} if _settings(what, node).get("weights") == "none" else node


def _single(choices: Mapping[str, str], group: str, node: Any) -> Component:
    return _component(group, str(choices.get(group) or node.get("name", group)), node)


def _component(group: str, choice: str, node: Any) -> Component:
    target = _target(choice, node)
    options = _options(group, choice, target, _settings(group, node))
    name = str(node.get("name", choice))
    return Component(name, target, options, choice=choice, origin=origin_of(group, choice, target))


def _components(group: str, nodes: Node) -> tuple[Component, ...]:
    return tuple(_component(group, name, node) for name, node in nodes.items())


def _options(group: str, choice: str, target: str, node: Node) -> dict[str, Any]:
    """What the part is called with. To write down a default is to leave it out: both are one identity.

    What its configuration file lists stays, as it always did.
    """
    taken = ("_target_", "spec") if group == "quantizer" else ("_target_", "name")
    options = {key: value for key, value in node.items() if key not in taken}
    listed = own_options(group, choice)
    further = [key for key in options if key not in listed]
    if not further:
        return options
    try:
        known = free_parameters(group, import_object(target))
    except QuantDGError:  # whoever needs the part will say why it cannot be imported
        return options
    same = {key for key in further if key in known and _text(options[key]) == _text(known[key].default)}
    return {key: value for key, value in options.items() if key not in same}


def _text(value: Any) -> str:
    """Tells true from 1, and not a list from a tuple."""
    return json.dumps(canonical(value), sort_keys=True, default=repr)


def _target(name: str, node: Node) -> str:
    target = node.get("_target_")
    if not isinstance(target, str):
        raise ConfigError(f"{name}._target_ must name something to import, got {target!r}; write package.module.Name")
    return target


def _dataclass(kind: type, what: str, node: Any) -> Any:
    check_settings(what, kind, _settings(what, node))
    for field in fields(kind):
        if field.name not in node and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{what}.{field.name} cannot be left out; write {what}.{field.name}=VALUE")
    return kind(**node)


def _spec(name: str, node: Any, bits: int | None, act_bits: int | None) -> QuantSpec:
    rules = _settings(f"quantizer.{name}.spec", node).get("rules", [])
    if not isinstance(rules, list):
        raise ConfigError(
            f"spec.rules must be a list, got {rules!r}; write for example [{{pattern: 'fc', skip: true}}]"
        )
    values = {**node, "rules": tuple(_dataclass(Rule, "rule", rule) for rule in rules)}
    if bits is not None:
        values["weight_bits"] = bits
    if act_bits is not None:
        values["act_bits"] = act_bits
    spec: QuantSpec = _dataclass(QuantSpec, f"quantizer.{name}.spec", values)
    return spec


def _quantizer(name: str, node: Any, bits: int | None, act_bits: int | None) -> QuantizerComponent:
    target = _target(name, node)
    options = _options("quantizer", name, target, _settings(f"quantizer.{name}", node))
    reads = node.get("spec") is not None
    note = passed_by(name, act_bits) if reads and act_bits is not None and acts_on_weights_only(target) else ""
    spec = _spec(name, node["spec"], bits, None if note else act_bits) if reads else None
    origin = origin_of("quantizer", name, target)
    return QuantizerComponent(name, target, options, choice=name, origin=origin, spec=spec, note=note)


def _axis(config: Node, key: str) -> list[int | None]:
    value = config.get(key)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{key} needs at least one number, got none; write {key}=7 or {key}=[4,7]")
    for bits in values:
        check_bits(key, bits)
    refuse_repeats(key, values)
    return values


def _quantizers(config: Node) -> tuple[QuantizerComponent, ...]:
    out: dict[str, QuantizerComponent] = {}
    for bits in _axis(config, "bits"):
        for act_bits in _axis(config, "act_bits"):
            for name, node in _some(config, "quantizer").items():
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
        raise ConfigError(f"start_steps must be null or a list of steps, got {value!r}; write start_steps=[40,80]")
    refuse_repeats("start_steps", value)
    return tuple(value)


def _seeds(value: Any, most: int) -> tuple[int, ...]:
    check_numbers("seeds", value)
    if type(value) is int and value > most:
        raise too_many_cells(value, most)
    seeds = list(range(value)) if type(value) is int else value
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
        raise ConfigError(
            f"seeds must be a count above 0 or a list of seeds, got {value!r}; write seeds=3 or seeds=[0,4]"
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
        raise ConfigError(f"targets must be all or a list of domain names, got {value!r}; write targets=[sketch,photo]")
    refuse_repeats("targets", targets)
    return tuple(targets)
