"""The settings of a cell beside their defaults, under the names that a command line has for them. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...core.numbers import canonical
from ...quantizers.spec import QuantSpec, Rule
from ..experiment.offers import own_files, own_settings, read_settings

SINGLE = ("dataset", "model", "step_rule", "optimizer", "schedule")
UNSET = "unset"
"""The default of a setting that no configuration file lists; a record has such a one only where it is not the class's default."""
_PROTOCOL_WEIGHTS = "${protocol.weights}"


@dataclass(frozen=True)
class CellSetting:
    """A setting of a cell.

    Attributes:
        name: as a command line has it, for example ``quantizer.lsq.spec.weight_bits``.
        value: plain data.
        default: what the configuration says without a word for it, or `UNSET`.
    """

    name: str
    value: Any
    default: Any

    @property
    def differs(self) -> bool:
        """Say whether the value is not the default."""
        return bool(self.value != self.default)


@dataclass(frozen=True)
class Part:
    """A part of a cell: what was chosen in a group of the configuration, with all its settings.

    Attributes:
        group: of the configuration.
        choice: a name in it.
        settings: in the order of the record.
        origin: of another package's part; empty for ours.
        later: settings that the configuration lists now and the record does not have.
    """

    group: str
    choice: str
    settings: tuple[CellSetting, ...]
    origin: str = ""
    later: tuple[str, ...] = ()


def parts_of_cell(settings: Mapping[str, Any]) -> list[Part]:
    """Return the parts of a cell, in the order of the configuration's groups.

    Args:
        settings: of a record.

    Raises:
        LookupError, TypeError, AttributeError: they do not have the form of a cell's settings.
    """
    protocol = _protocol(settings["protocol"], settings["model"]["options"].get("weights"))
    single = {group: _part(group, settings[group], group, protocol) for group in SINGLE}
    several = {
        "algorithm": [settings["algorithm"]],
        "transform": [*settings["transforms"].values()],
        "quantizer": [settings["quantizer"]],
        "averaging": [*settings["averages"].values()],
    }
    lists = {group: [part_of_several(group, identity) for identity in own] for group, own in several.items()}
    first, rest = (single["dataset"], single["model"], protocol), [single[group] for group in SINGLE[2:]]
    return [*first, *lists["algorithm"], *lists["transform"], *rest, *lists["quantizer"], *lists["averaging"]]


def part_of_several(group: str, identity: Mapping[str, Any]) -> Part:
    """Return a part of a group that takes several names, from its identity in a record."""
    return _part(group, identity, f"{group}.{identity['component']}", None)


def _part(group: str, identity: Mapping[str, Any], prefix: str, protocol: Part | None) -> Part:
    choice, options = str(identity["component"]), identity["options"]
    listed = dict(_own_settings(group, choice))
    named = (
        [] if group == "quantizer" else [CellSetting(f"{prefix}.name", identity["name"], listed.pop("name", choice))]
    )
    spec = listed.pop("spec", None)
    defaults = {key: _resolved(value, protocol) for key, value in listed.items()}
    own = [CellSetting(f"{prefix}.{key}", value, _default(defaults, key, value)) for key, value in options.items()]
    if group == "quantizer" and identity["spec"] is not None:
        own += _spec(f"{prefix}.spec", identity["spec"], spec)
    later = tuple(f"{prefix}.{key}" for key in defaults if key not in options)
    return Part(group, choice, (*named, *own), str(identity.get("origin", "")), later)


@cache
def _own_settings(group: str, choice: str) -> Mapping[str, Any]:
    return own_settings(group, choice)


def _resolved(value: Any, protocol: Part | None) -> Any:
    """A default that is written as the protocol's weights stands for them."""
    if value != _PROTOCOL_WEIGHTS or protocol is None:
        return value
    return next(setting.value for setting in protocol.settings if setting.name == "protocol.weights")


def _default(defaults: Mapping[str, Any], key: str, value: Any) -> Any:
    """The default in its canonical form; YAML reads 3e-3 as a text, Hydra as the number it is."""
    found = canonical(defaults.get(key, UNSET))
    if isinstance(found, str) and isinstance(value, (int, float)):
        with suppress(ValueError):
            return canonical(float(found))
    return found


def _protocol(own: Mapping[str, Any], weights: str | None) -> Part:
    """The protocol, beside the file that has most of its settings; no record says which file it was.

    The weights are the model's in a record; here they are the protocol's, which the model's must agree with.
    """
    parts = [_beside(name, own, weights) for name in sorted(own_files("protocol"))]
    return min(parts, key=lambda part: sum(setting.differs for setting in part.settings))


def _beside(name: str, own: Mapping[str, Any], weights: str | None) -> Part:
    listed = _protocol_file(name)
    given = "any" if weights is not None and listed["weights"] == "any" else weights
    values = {
        **{key: None for key in ("first_check",) if key in listed},
        "precision": "fp32",
        "compile": False,
        "processes": 1,
        **own,
    }
    named = [CellSetting(f"protocol.{key}", value, _default(listed, key, value)) for key, value in values.items()]
    return Part("protocol", name, (*named, CellSetting("protocol.weights", given, listed["weights"])))


@cache
def _protocol_file(name: str) -> Mapping[str, Any]:
    return read_settings(own_files("protocol")[name])


def _spec(prefix: str, own: Mapping[str, Any], listed: Mapping[str, Any] | None) -> Iterator[CellSetting]:
    """What is quantized; fields that a record leaves out have the default that they had when it was made."""
    plain = QuantSpec()
    defaults = canonical(_from_file(listed).identity if listed is not None else plain.identity)
    added = {"group_size": plain.group_size, "placement": plain.placement}
    values = {**{key: value for key, value in added.items() if key in defaults}, **own}
    for key, value in values.items():
        default = {**added, **defaults}.get(key, UNSET)
        if key == "rules":
            yield CellSetting(f"{prefix}.rules", list(map(_rule, value)), list(map(_rule, default)))
        else:
            yield CellSetting(f"{prefix}.{key}", value, default)


def _from_file(listed: Mapping[str, Any]) -> QuantSpec:
    return QuantSpec(**{**listed, "rules": tuple(Rule(**rule) for rule in listed.get("rules", ()))})


def _rule(identity: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as a configuration has it: only what it sets."""
    said = {key: value for key, value in identity.items() if value not in (None, False)}
    return {**said, "act_bits": None} if said.get("act_bits") == "float" else said
