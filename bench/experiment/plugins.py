"""Components of other packages: entry points that appear as configuration choices like the built-in ones.

A package declares ``[project.entry-points."quantdg.quantizers"] ternary = "package.module:Class"`` (likewise
``quantdg.algorithms``); nothing of it is imported before it is chosen.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from hydra.core.config_store import ConfigStore

GROUPS = {"quantizer": "quantdg.quantizers", "algorithm": "quantdg.algorithms"}


def offer_plugins() -> None:
    """Store each entry point as ``GROUP/NAME`` in Hydra's registry, with the default spec for quantizers."""
    store = ConfigStore.instance()
    for group, entry_group in GROUPS.items():
        for entry in entry_points(group=entry_group):
            node: dict[str, Any] = {"_target_": entry.value.replace(":", ".")}
            if group == "quantizer":
                node["spec"] = {
                    "weight_bits": 7,
                    "act_bits": None,
                    "granularity": "per_channel",
                    "symmetric": True,
                    "rules": [{"pattern": "classifier*", "skip": True}],
                }
            store.store(name=entry.name, node=node, group=group, package=f"{group}.{entry.name}", provider=entry.value)
