"""What there is to choose from, and the contract check for one class."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hydra import compose
from omegaconf import OmegaConf

from quantdg.bench.components import import_object
from quantdg.bench.config import GROUPS, choices, hydra
from quantdg.core.errors import ConfigError, MissingPackageError, QuantDGError
from quantdg.datasets.inventory import Inventory
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.conformance import run_checks


def text() -> str:
    """All groups and choices; quantizers with their reference and, where they cannot run, the pip line."""
    lines = []
    with hydra():
        for group in GROUPS:
            lines.append(f"{group}:")
            for name in choices(group):
                note = _quantizer_note(name) if group == "quantizer" else ""
                lines.append(f"  {name:20} {note}".rstrip())
    return "\n".join(lines)


def _quantizer_note(name: str) -> str:
    try:
        kind = import_object(_target(name))
    except MissingPackageError as error:
        return f"unavailable: {error}"
    except QuantDGError as error:
        return f"broken: {error}"
    missing = kind.missing()
    return f"unavailable: {missing}" if missing else kind.reference


def _target(name: str) -> str:
    config: Any = OmegaConf.to_container(compose("config", [f"quantizer=[{name}]"]))
    return str(config["quantizer"][name]["_target_"])


def check(quantizer: str) -> int:
    """Run every contract check and print a line each; returns 0 if none failed, else 1."""
    if ":" in quantizer:
        kind = import_object(quantizer.replace(":", "."))
    else:
        with hydra():
            load = choices("quantizer")
            if quantizer not in load:
                raise ConfigError(f"write PACKAGE.MODULE:CLASS or one of {', '.join(load)}, got {quantizer!r}")
            kind = import_object(_target(quantizer))
    if not (isinstance(kind, type) and issubclass(kind, Quantizer)):
        raise ConfigError(f"{quantizer} must be a subclass of quantdg.quantizers.Quantizer, got {kind!r}")
    results = run_checks(kind)
    for result in results:
        print(f"{result.status:8} {result.name}" + (f": {result.message}" if result.message else ""))
    return int(any(r.status == "failed" for r in results))


def inventory_text(inventory: Inventory) -> str:
    """Images by domain and class, and the fingerprint that goes into every record."""
    frame = pd.DataFrame(inventory.counts).T
    frame.insert(0, "all", frame.sum(axis=1))
    channels, height, width = inventory.shape
    published = f" ({inventory.published} are published)" if inventory.published else ""
    head = f"{inventory.name}: {inventory.total} images{published}, {channels} x {height} x {width}"
    return f"{head}, fingerprint {inventory.fingerprint}\n\n{frame.to_markdown()}"
