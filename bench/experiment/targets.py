"""Which domains are held out in turn: ``targets`` as it is written, and the domains that the data sets have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import ConfigError, UnknownNameError
from ...core.repeats import refuse_repeats
from ...datasets.base import Outline

Outlines = Mapping[str, Outline]
"""Name of a data set -> what is known of it."""


def targets_of(asked: Sequence[str] | None, outlines: Outlines) -> dict[str, list[str]]:
    """Return the targets of each data set, in the order they are asked for.

    Args:
        asked: names as ``DATASET/DOMAIN``, or ``DOMAIN`` where one data set only has such a domain, at several severities
            perhaps; None: each data set's own.
        outlines: of all data sets.

    Raises:
        ConfigError: there is no such domain, several data sets have it, it is named twice, or a data set has none.
    """
    if asked is None:
        return {name: list(outline.targets) for name, outline in outlines.items()}
    domains = {name: outline.domains for name, outline in outlines.items()}
    found: dict[str, list[str]] = {name: [] for name in domains}
    for text in asked:
        for name, target in _places(text, domains):
            found[name].append(target)
    for name, targets in found.items():
        refuse_repeats("targets", [target if len(domains) == 1 else f"{name}/{target}" for target in targets])
        if not targets:
            raise ConfigError(
                f"targets must name a domain of each data set, got none of {name}; write {name}/{domains[name][0]} as well, or "
                f"leave {name} out of dataset"
            )
    return found


def _places(text: str, domains: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The data sets and the domain that a target names: one data set, or one at several severities."""
    having = [name for name, own in domains.items() if text in own]
    if len({name.partition("@")[0] for name in having}) == 1:
        return [(name, text) for name in having]
    if having:
        written = " or ".join(f"{name}/{text}" for name in having)
        raise ConfigError(f"a target must be one domain, {text} is one of {' and of '.join(having)}; write {written}")
    name, slash, target = text.partition("/")
    if slash and name in domains:
        if target not in domains[name]:
            raise UnknownNameError(f"domain of {name}", target, domains[name])
        return [(name, target)]
    if len(domains) == 1:
        (only,) = domains
        raise UnknownNameError(f"domain of {only}", text, domains[only])
    raise UnknownNameError("target", text, [f"{name}/{domain}" for name, own in domains.items() for domain in own])
