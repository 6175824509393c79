"""Parts of other packages, offered to Hydra as choices like the built-in ones; see `offers` for how they are found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hydra.core.config_store import ConfigStore

from ...quantizers.spec import SAME, QuantSpec
from .offers import COMPONENTS, SEVERAL, strangers


def offer_plugins() -> None:
    """Store each entry point as ``GROUP/NAME`` in Hydra's registry, with the default spec for quantizers."""
    store = ConfigStore.instance()
    for group in COMPONENTS:
        for name, entry in strangers(group).items():
            node: dict[str, Any] = {"_target_": entry.value.replace(":", ".")}
            if group == "quantizer":
                node["spec"] = _plain(QuantSpec())
            package = f"{group}.{name}" if group in SEVERAL else group
            node |= {} if group in SEVERAL else {"name": name}
            store.store(name=name, node=node, group=group, package=package, provider=entry.value)
    for name, entry in strangers("launcher").items():
        store.store(name=name, node={"engine": name}, group="launcher", provider=entry.value)


def _plain(spec: QuantSpec) -> dict[str, Any]:
    """A spec as a configuration file has it: rules name only what they set."""
    rules = [{key: value for key, value in asdict(rule).items() if value not in (False, SAME)} for rule in spec.rules]
    return {**asdict(spec), "rules": rules}
