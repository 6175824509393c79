"""A part of an experiment in words: what it is, and every setting it takes, as ``quantdg show GROUP NAME`` prints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any

from tabulate import tabulate

from ...core.errors import UnknownNameError
from ...core.ranges import Ranges, ranges_of
from ...quantizers.spec import QuantSpec
from .component import import_object, summary_of
from .deploy import DeploySettings
from .flatness import FlatnessSettings
from .launcher import Launcher
from .offers import COMPONENTS, SEVERAL, find_offer, own_files, read_settings
from .protocol import SMALL_IMAGES, Protocol, protocol_ranges
from .signature import settings_of
from .type_check import words_of

_DATACLASSES: dict[str, type] = {
    "protocol": Protocol,
    "launcher": Launcher,
    "deploy": DeploySettings,
    "flatness": FlatnessSettings,
}
FILES = ("experiment", "scale")
"""Groups whose choices are settings for several groups."""
_WIDTHS = [24, 22, 22, 46]
"""Of the columns, so that a table has at most 120 characters."""

Row = tuple[str, str, str, str]


def describe(group: str, name: str) -> str:
    """Return what a choice of a group is and a table of its settings: name, type, default, meaning.

    Of an experiment, or another choice of settings for several groups, it returns the file.

    Raises:
        UnknownNameError: there is no such group, or no such choice in it.
        MissingPackageError: it needs a package that is not installed.
    """
    if group not in {*COMPONENTS, *_DATACLASSES, *FILES}:
        raise UnknownNameError("group with settings", group, {*COMPONENTS, *_DATACLASSES, *FILES})
    file = own_files(group).get(name)
    if group in FILES:
        return _file_text(group, name)
    listed = read_settings(file) if file else {}
    prefix = f"{group}.{name}" if group in SEVERAL else group
    if group in _DATACLASSES:
        if file is None:
            raise UnknownNameError(group, name, own_files(group))
        lines, rows = [f"{group} {name}"], list(_rows("", group, _DATACLASSES[group], listed))
        if group == "protocol":
            lines += _searched(protocol_ranges(SMALL_IMAGES), f" on images up to {SMALL_IMAGES} pixels")
            lines += _searched(protocol_ranges(SMALL_IMAGES + 1), " on larger images")
    else:
        offer = find_offer(group, name)
        part = import_object(offer.target)
        lines, rows = _heading(group, name, part, offer.origin), list(_rows("", group, part, listed))
        if group == "quantizer" and (not file or "spec" in listed):
            rows += _rows("spec.", "", QuantSpec, listed.get("spec") or {})
    table = tabulate(rows, ["setting", "type", "default", "meaning"], maxcolwidths=_WIDTHS, disable_numparse=True)
    how = f"settings, written {prefix}.SETTING=VALUE:\n\n{table}"
    return "\n".join([*lines, how if rows else "It has no settings."])


def _searched(ranges: Ranges, where: str = "") -> list[str]:
    """What a search sets, as a line."""
    said = "; ".join(f"{name} {own}" for name, own in ranges.items())
    return [f"set by a search (search.trials=20){where}: {said}"] if ranges else []


def _file_text(group: str, name: str) -> str:
    if name not in own_files(group):
        raise UnknownNameError(group, name, own_files(group))
    return f"{group} {name}: {own_files(group)[name].read_text(encoding='utf-8').rstrip()}"


def _heading(group: str, name: str, part: Any, origin: str) -> list[str]:
    lines = [f"{group} {name}{f' (of {origin})' if origin else ''}: {summary_of(part)}"]
    if getattr(part, "reference", ""):
        lines.append(f"reference: {part.reference}")
    if group == "quantizer":
        missing = part.missing()
        lines += [f"role: {part.role}", *([f"unavailable here: {missing}"] if missing else [])]
    return [*lines, *_searched(ranges_of(part))]


def _rows(prefix: str, group: str, part: Callable[..., Any], listed: Mapping[str, Any]) -> Iterator[Row]:
    for setting in settings_of(group, part).values():
        value = listed.get(setting.name, setting.default)
        hint = "" if setting.annotation is Parameter.empty else words_of(setting.annotation)
        yield f"{prefix}{setting.name}", hint, _text(value), setting.meaning


def _text(value: Any) -> str:
    """A value as a command line has it."""
    if value is Parameter.empty:
        return "must be given"
    if repr(value) == "<factory>":  # of a dataclass
        return "none"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value)
