"""Settings that nothing would read are refused: Hydra accepts any name after a plus sign, and `load` any of a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

from ...core.errors import ConfigError, UnknownNameError
from .offers import CONF, GROUPS, SEVERAL, read_settings

WHOLE = ("suite", "experiment", "scale")
"""Groups whose choices are settings of several groups, and which have none of their own."""
SEARCH_PATH = "hydra.searchpath"


def refuse_words(overrides: Sequence[Override]) -> None:
    """Refuse words for Hydra's own settings, and choices with a plus sign where that adds nothing.

    Raises:
        ConfigError: with what to write instead.
    """
    said = [override.key_or_group for override in overrides]
    for override in overrides:
        group = override.key_or_group
        if group.partition(".")[0] == "hydra" and group != SEARCH_PATH:
            raise ConfigError(
                f"of Hydra's own settings only {SEARCH_PATH} may be set, got {override.input_line}; leave it out, "
                "quantdg run --help shows what there is"
            )
        several = group in (*SEVERAL, "dataset")
        alone = several and said.count(group) == 1 and not override.is_force_add()
        if group in GROUPS and (override.is_add() or override.is_force_add()) and not alone:
            example = f"'{group}=[NAME,NAME]'" if several else f"{group}={override.get_value_string()}"
            raise ConfigError(f"{group} must be chosen by one word, got {override.input_line}; write {example}")


def refuse_names(config: Mapping[str, Any]) -> None:
    """Raise UnknownNameError for a name at the top, or below a group without settings, that is no setting."""
    plain = read_settings(CONF / "config.yaml")
    for name, node in config.items():
        if name not in plain and name not in GROUPS:
            raise UnknownNameError("setting", name, {*plain, *GROUPS} - {"defaults"})
        if name in WHOLE and isinstance(node, Mapping):
            for setting in node:
                raise UnknownNameError(f"setting of {name}", setting, ())


def refuse_data(config: Mapping[str, Any]) -> None:
    """Raise UnknownNameError for a name below ``data`` that is no setting; those of single data sets are elsewhere."""
    known = read_settings(CONF / "config.yaml")["data"]
    for name in config["data"] if isinstance(config.get("data"), Mapping) else ():
        if name not in known:
            raise UnknownNameError("setting", f"data.{name}", {f"data.{k}" for k in known})


def refuse_parts(config: Mapping[str, Any], groups: Sequence[str] = SEVERAL) -> None:
    """Raise UnknownNameError for settings of a part of these groups that is not chosen."""
    for group in groups:
        parts = config.get(group) or {}
        chosen = [name for name, node in parts.items() if isinstance(node, Mapping) and "_target_" in node]
        for name in set(parts) - set(chosen):
            raise UnknownNameError(f"{group} chosen for this run", name, chosen)
