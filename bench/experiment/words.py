"""What may come next on the command line of ``quantdg run``, for completion in a shell.

Reads the configuration files and the names of entry points only: neither Hydra nor torch, so that it is quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ...core.nested import leaves
from .offers import ALONE, CONF, ENTRY_POINTS, own_files, read_settings

OPENERS = ("=", ".", "[", ",")
"""A word that ends so is not complete."""


def continuations(words: Sequence[str]) -> list[str]:
    """Return what the last word may become, the others standing before it.

    A bare beginning is answered with groups and settings, ``protocol.`` with the settings of the protocol chosen so far,
    ``quantizer=[float,`` with names.
    """
    *before, last = words
    name, equals, value = last.partition("=")
    if equals:
        return [f"{name}={text}" for text in _values(name, value, before)]
    if "." in last:
        return [f"{key}=" for key in settings(before) if key.startswith(last)]
    inner = {f"{key.partition('.')[0]}." for key in settings(before) if "." in key}
    outer = {f"{key}=" for key in (*groups(), *settings(before)) if "." not in key}
    return sorted(word for word in inner | outer if word.startswith(last))


def groups() -> list[str]:
    """Return names of the configuration groups."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and own_files(path.name))


def choice_names(group: str) -> list[str]:
    """Return names to choose from in a group, those of installed plugins included."""
    offered = entry_points(group=ENTRY_POINTS[group]) if group in ENTRY_POINTS else ()
    return sorted({*own_files(group), *(entry.name for entry in offered)})


def settings(words: Sequence[str]) -> dict[str, Any]:
    """Map the dotted name of every setting to its default, given the choices made in these words."""
    config = dict(read_settings(CONF / "config.yaml"))
    selected = _choices(config.pop("defaults"), words)
    found = _in_file(config)
    for group, names in selected.items():
        for name in names:
            if name in own_files(group):
                file = own_files(group)[name]
                package = _package(file) or group
                found |= _in_file(read_settings(file), "" if package == "_global_" else f"{package}.")
    return found | _alone(found, selected["dataset"])


def _choices(defaults: Sequence[Any], words: Sequence[str]) -> dict[str, list[str]]:
    """The names chosen in each group: by the words, else by an experiment, a suite or the list of defaults."""
    by_default = {group: _listed(value) for entry in defaults if entry != "_self_" for group, value in entry.items()}
    by_word = {}
    for word in words:
        group, _, value = word.partition("=")
        if group in by_default:
            by_word[group] = value.strip("[]").split(",")
    chosen = by_default | by_word
    for whole in ("experiment", "suite"):
        for name in chosen[whole]:
            file = own_files(whole).get(name)
            for entry in read_settings(file).get("defaults", []) if file else ():
                for key, value in entry.items():
                    by_word.setdefault(key.removeprefix("override /"), _listed(value))
        chosen = by_default | by_word
    return chosen


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [str(value)]


def _alone(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The settings that each of several data sets may have alone."""
    several = names if len(names) > 1 else ()
    own = {key: value for key, value in found.items() if not any(f".{name}." in key for name in several)}
    dotted = [(key.split(".", 1), value) for key, value in own.items() if "." in key and key.partition(".")[0] in ALONE]
    return {f"{group}.{name}.{key}": value for name in several for (group, key), value in dotted}


def _values(name: str, value: str, before: Sequence[str]) -> Iterator[str]:
    kept, comma, start = value.rpartition(",")
    bracket = "[" if not comma and start.startswith("[") else ""
    start, head = start.removeprefix("[") if bracket else start, kept + comma + bracket
    if name in groups():
        used = set(kept.strip("[").split(","))
        yield from (
            f"{head}{choice}" for choice in choice_names(name) if choice.startswith(start) and choice not in used
        )
    elif isinstance(settings(before).get(name), bool):
        yield from (word for word in ("true", "false") if word.startswith(value))


def _package(file: Path) -> str:
    """Where Hydra puts the file's content; empty where that is its group."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# @package").strip() if first.startswith("# @package") else ""


def _in_file(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings of a file, without its import path and its list of defaults."""
    return {n: value for n, value in leaves(node, prefix) if n.rpartition(".")[2] not in ("_target_", "defaults")}
