"""What is installed, by group and name: our configuration files and the entry points of other packages.

A package declares for example ``[project.entry-points."quantdg.quantizers"] ternary = "package.module:Class"``; its part
is then a choice like the built-in ones. Nothing of it is imported before it is chosen. What a stored record names is
looked up here and nowhere else, so that reading a record never imports what somebody wrote into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from ...core.errors import ConfigError, RecordError, UnknownNameError
from .component import INLINE, Component

ENTRY_POINTS = {
    "dataset": "quantdg.datasets",
    "model": "quantdg.models",
    "algorithm": "quantdg.algorithms",
    "transform": "quantdg.transforms",
    "step_rule": "quantdg.step_rules",
    "optimizer": "quantdg.optimizers",
    "schedule": "quantdg.schedules",
    "quantizer": "quantdg.quantizers",
    "averaging": "quantdg.averages",
}
"""Group of the configuration -> group of entry points, for everything that is built from a record's settings."""


class Offer(NamedTuple):
    """Where an installed part is: its import path, and the distribution and version it comes from, empty for ours."""

    target: str
    origin: str


@lru_cache
def _built_in(group: str) -> Mapping[str, Offer]:
    folder = files("quantdg.bench.conf") / group
    found = {}
    for file in folder.iterdir():
        if file.name.endswith(".yaml"):
            node = yaml.safe_load(file.read_text(encoding="utf-8"))
            found[file.name[: -len(".yaml")]] = Offer(node["_target_"], "")
    return found


def strangers(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of other packages for one group, by name; ConfigError where a name is taken."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINTS[group]):
        if entry.name in _built_in(group) or entry.name in found:
            raise ConfigError(
                f"each {group} needs a name of its own, but {entry.name!r} of {_origin(entry)} is there already; rename it "
                "or uninstall one of the packages"
            )
        found[entry.name] = entry
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def offers(group: str) -> dict[str, Offer]:
    """Return everything that is installed for a group, by name."""
    found = dict(_built_in(group))
    for name, entry in strangers(group).items():
        found[name] = Offer(entry.value.replace(":", "."), _origin(entry))
    return found


def find_offer(group: str, name: str) -> Offer:
    """Return the installed part of this name; UnknownNameError, with the nearest name, where there is none."""
    known = offers(group)
    if name not in known:
        raise UnknownNameError(group, name, known)
    return known[name]


def origin_of(group: str, choice: str, target: str) -> str:
    """Return where a configured part comes from, for its identity: empty for ours, else a package or `INLINE` path."""
    offer = offers(group).get(choice)
    return offer.origin if offer is not None and offer.target == target else INLINE + target


def installed(group: str, identity: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Component:
    """Return the installed component that an identity in a record names.

    Args:
        group: of the configuration, for example ``model``.
        identity: as of `Component.identity`, read from a record.
        options: in place of the recorded ones.

    Raises:
        RecordError: no such part is installed here, or it is not the one that the record was made with.
    """
    choice, name, origin = str(identity["component"]), str(identity["name"]), str(identity.get("origin", ""))
    if origin.startswith(INLINE):
        raise RecordError(
            f"the {group} of a record must be an installed one, got {origin[len(INLINE) :]}, which was named on a command "
            f"line; give it an entry point in {ENTRY_POINTS[group]}, records import nothing"
        )
    offer = offers(group).get(choice)
    if offer is None or offer.origin != origin:
        here = "is not there" if offer is None else f"comes from {offer.origin or 'quantdg'}"
        raise RecordError(
            f"the {group} {choice!r} of a record must be the one it was made with, of {origin or 'quantdg'}; here it {here}, "
            "install that package"
        )
    chosen = identity["options"] if options is None else options
    return Component(name, offer.target, dict(chosen), choice=choice, origin=origin)
