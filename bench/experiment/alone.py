"""Settings for one data set alone: ``protocol.pacs.steps=300`` among the words of a command line.

Each data set is configured as if it were the only one: from the words without a data set's name, then its own without that
name; weight averages are composed for one only where it has settings of theirs. So a cell of a run over several data sets is the cell of a run on one of them, and has its key.

A word ``protocol.pacs=NAME`` or ``model.pacs=NAME`` chooses for one data set alone, and ``dataset.mine=FILE`` takes a data set
under another name. Configuration files say the same below their groups; the command line goes before them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import Override

from ...core.errors import ConfigError, UnknownNameError
from ...core.nested import leaves
from .offers import ALONE, SEVERAL, offers

BY_NAME = ("protocol", "model")
"""Those that can be chosen by name for it."""
_FEWEST = ("algorithm=[erm]", "transform=[]", "quantizer=[float]", "averaging=[]")
"""What data sets have in common is composed once, for all of them."""


@dataclass(frozen=True)
class Words:
    """These are the words of a command line, parted.

    Attributes:
        names: the data sets that they choose; empty where they choose none.
        files: the choice behind a name that is none itself.
        shared: words for all data sets, without ``dataset=``.
        own: words for single data sets, by name, without it.
    """

    names: tuple[str, ...]
    files: Mapping[str, str]
    shared: tuple[str, ...]
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def for_all(self) -> list[str]:
        """Return the words that choose all data sets at once; their settings are then of no use."""
        files = list(dict.fromkeys(self.files.get(name, name) for name in self.names))
        chosen = [f"dataset={files[0]}" if len(files) == 1 else f"dataset=[{','.join(files)}]"] if files else []
        return [*chosen, *self.shared]

    def for_one(self, name: str, said: Sequence[str]) -> list[str]:
        """Return the words that configure one data set; parts that it has in common with others are left out.

        Args:
            name: of the data set.
            said: what files say of it alone, see `said_of`.
        """
        own = self.own.get(name, ())
        chosen = {key_of(word) for word in (*self.shared, *own)}
        kept = [word for word in said if _group(word) not in chosen]
        averaged = any(_group(word) == "averaging" for word in (*kept, *own))
        common = [group for group in SEVERAL if group != "averaging" or not averaged]
        shared = [word for word in self.shared if _group(word) not in common]
        fewest = [word for word in _FEWEST if _group(word) in common]
        named = [f"dataset={self.files[name]}", f"dataset.name={name}"] if name in self.files else [f"dataset={name}"]
        return _last_choices([*named, *fewest, *kept, *shared, *own])

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigError where a word is for a data set that is not among those of this run."""
        for name, words in self.own.items():
            if name not in names:
                group, dot, setting = key_of(words[0]).partition(".")
                raise ConfigError(
                    f"a setting for one data set needs that data set in the run, got {group}.{name}{dot}{setting} in a run on "
                    f"{', '.join(names)}; write 'dataset=[{','.join([*names, name])}]' as well, or {words[0]} for all"
                )


def part_words(overrides: Sequence[Override], known: Collection[str]) -> Words:
    """Part the words of a command line.

    Args:
        overrides: as Hydra has read them.
        known: names of the data sets that there are to choose from.

    Raises:
        ConfigError: a word names no data set where there must be one, or chooses for one what is no name.
    """
    names: tuple[str, ...] = ()
    for override in overrides:
        if override.key_or_group == "dataset" and not override.is_delete():
            value = override.value()
            names = tuple(map(str, value if isinstance(value, list) else [value]))
    files: dict[str, str] = {}
    shared: list[str] = []
    own: dict[str, list[str]] = {}
    for override in overrides:
        place = _place(override, names, known)
        if place is None:
            chosen_here = override.key_or_group == "dataset" and not override.is_delete()
            shared += [] if chosen_here else [override.input_line or ""]
        elif place[1] == "dataset":
            files[place[0]] = _chosen(override)
        else:
            own.setdefault(place[0], []).append(_renamed(override, place[1]))
    return Words(names, files, tuple(shared), own)


_EXAMPLES = {"data": "root=DIR", "averaging": "swad.tolerance=0.2"}
"""Groups in which nothing is chosen by name for one data set, and what is written below its name."""


def _place(override: Override, names: Collection[str], known: Collection[str]) -> tuple[str, str] | None:
    """The data set that a word is for, and its key without that name; None where it is for all."""
    group, *rest = override.key_or_group.split(".")
    if group not in ALONE or not rest:
        return None
    name, inner = rest[0], ".".join([group, *rest[1:]])
    if len(rest) > 1 and (name in known or name in names):
        return name, inner
    if len(rest) > 1 and group in ("protocol", "data"):
        raise UnknownNameError("data set", name, {*known, *names})
    if len(rest) > 2 and group == "averaging" and name not in offers(group):
        raise UnknownNameError("data set", name, {*known, *names})
    if len(rest) > 1:
        return None
    if group == "dataset":
        return (name, group) if name in names and name not in known else None
    if name in known or name in names:
        if group in _EXAMPLES:
            example = f"{group}.{name}.{_EXAMPLES[group]}"
            raise ConfigError(f"{group}.{name} must hold settings, got {override.input_line}; write {example}")
        _chosen(override)
        return name, group
    return None


def _chosen(override: Override) -> str:
    """The name that a word chooses for one data set."""
    value = override.value()
    if not isinstance(value, str):
        raise ConfigError(
            f"{override.key_or_group} takes one name, got {override.input_line}; write {override.key_or_group}=NAME"
        )
    return value


def _renamed(override: Override, key: str) -> str:
    line = override.input_line or ""
    sign = line[: len(line) - len(line.lstrip("+~"))]
    _, equals, value = line.partition("=")
    return f"{sign}{key}{equals}{value}"


def key_of(word: str) -> str:
    """Return the name that a word sets, without the signs before it."""
    return word.lstrip("+~").partition("=")[0]


def _group(word: str) -> str:
    return key_of(word).partition(".")[0]


def _last_choices(words: Sequence[str]) -> list[str]:
    """Of several words that choose in one group only the last: Hydra refuses two."""
    last = {key_of(word): number for number, word in enumerate(words)}
    return [word for number, word in enumerate(words) if "." in key_of(word) or last[key_of(word)] == number]


def said_of(config: Mapping[str, Any], name: str) -> list[str]:
    """Return as words what configuration files say of one data set alone, for example below ``protocol.pacs``."""
    words: list[str] = []
    for group in ALONE:
        nodes = config.get(group)
        node = nodes.get(name) if isinstance(nodes, Mapping) else None
        if isinstance(node, Mapping) and "_target_" not in node:
            words += [f"++{group}.{key}={json.dumps(value, ensure_ascii=False)}" for key, value in leaves(node)]
        elif isinstance(node, str) and group in BY_NAME:
            words.append(f"{group}={node}")
    return words


def without_others(config: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a configuration without what files say of single data sets alone, those of these names."""
    out = dict(config)
    for group in ALONE:
        if isinstance(config.get(group), Mapping):
            out[group] = {key: node for key, node in config[group].items() if not _is_alone(group, key, node, names)}
    return out


def _is_alone(group: str, key: str, node: Any, names: Collection[str]) -> bool:
    if isinstance(node, Mapping):
        return key in names and "_target_" not in node
    return key in names and group in BY_NAME and isinstance(node, str)
