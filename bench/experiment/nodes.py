"""From the nodes of a composed configuration to components and frozen settings; every value is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from ...core.errors import ConfigError
from .component import Component
from .options import without_defaults
from .registry import origin_of
from .type_check import check_settings

Node = Mapping[str, Any]


def value_of(config: Node, key: str) -> Any:
    """Return what is set under a key; ConfigError where that is nothing."""
    if config.get(key) in (None, ""):
        raise ConfigError(f"{key} cannot be left out; write {key}=VALUE, quantdg run --help shows what there is")
    return config[key]


def some_of(config: Node, group: str) -> Node:
    """Return the choices of a group that needs at least one."""
    chosen = config.get(group)
    if not chosen:
        raise ConfigError(f"{group} needs at least one choice, got none; write '{group}=[NAME]'")
    return settings_in(group, chosen)


def settings_in(what: str, node: Any) -> Node:
    """Return a node that holds settings; ConfigError, with ``what`` as its name, for any other."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{what} must hold settings, got {node!r}; write {what}.NAME=VALUE")
    return node


def with_weights(what: str, node: Any) -> Node:
    """Return settings with ``weights: none``, the word of the command line, as None."""
    return {**node, "weights": None} if settings_in(what, node).get("weights") == "none" else node


def single_part(choices: Mapping[str, str], group: str, node: Any) -> Component:
    """Return the part of a group that takes one, under the name that was chosen there."""
    return _component(group, str(choices.get(group) or node.get("name", group)), node)


def _component(group: str, choice: str, node: Any) -> Component:
    target = target_of(choice, node)
    options = options_of(group, choice, target, settings_in(group, node))
    name = str(node.get("name", choice))
    return Component(name, target, options, choice=choice, origin=origin_of(group, choice, target))


def parts_of(group: str, nodes: Node) -> tuple[Component, ...]:
    """Return the parts of a group that takes several, by name."""
    return tuple(_component(group, name, node) for name, node in nodes.items())


def options_of(group: str, choice: str, target: str, node: Node) -> dict[str, Any]:
    """Return what a part is called with."""
    taken = ("_target_", "spec") if group == "quantizer" else ("_target_", "name")
    return without_defaults(group, choice, target, {key: value for key, value in node.items() if key not in taken})


def target_of(name: str, node: Node) -> str:
    """Return the import path of a part; ConfigError where it has none."""
    target = node.get("_target_")
    if not isinstance(target, str):
        raise ConfigError(f"{name}._target_ must name something to import, got {target!r}; write package.module.Name")
    return target


def dataclass_from(kind: type, what: str, node: Any) -> Any:
    """Return frozen settings of this kind; ConfigError where one is unknown, of another type or missing."""
    check_settings(what, kind, settings_in(what, node))
    for field in fields(kind):
        if field.name not in node and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{what}.{field.name} cannot be left out; write {what}.{field.name}=VALUE")
    return kind(**node)
