"""Every dataset YAML builds: its target exists and takes its settings."""

from __future__ import annotations

import inspect as signatures
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from quantdg.bench.commands.prepare import inventory_text
from quantdg.datasets.digits import load_digits, load_digits_domains
from quantdg.datasets.inventory import inspect
from quantdg.datasets.prepare import instructions

FILES = sorted((Path(__file__).resolve().parents[2] / "bench" / "conf" / "dataset").glob("*.yaml"))
SHARED = {"name", "root", "cache_dir", "size"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_settings_are_the_loaders(file: Path) -> None:
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    assert node.pop("name") == file.stem
    module, _, function = node.pop("_target_").rpartition(".")
    parameters = signatures.signature(getattr(import_module(module), function)).parameters
    assert set(parameters) >= SHARED
    assert set(node) <= set(parameters)
    for key, value in node.items():
        default = parameters[key].default
        if default is not signatures.Parameter.empty:
            assert (list(default) if isinstance(default, tuple) else default) == value or key in ("folder", "path")
    assert instructions(file.stem, Path("data"))


def test_inspect_counts() -> None:
    data = load_digits("mine", size=16)
    inventory = inspect(data)
    assert inventory.name == "mine"
    assert inventory.fingerprint == load_digits_domains(16).fingerprint
    assert inventory.total == 1797
    assert inventory.shape == (3, 16, 16)
    assert list(inventory.counts) == ["faint", "rotated", "coloured", "thick", "noisy", "blurred", "shaded", "thin"]
    assert inventory.counts["thick"]["3"] == int((data.domains[3].labels == 3).sum())


@pytest.mark.parametrize(("name", "published"), [("pacs", " (9991 are published)"), ("mine", "")])
def test_the_published_count_stands_beside_the_found_one(name: str, published: str) -> None:
    data = replace(load_digits("any", size=16), name=name)
    assert inventory_text(inspect(data)).startswith(f"{name}: 1797 images{published}, 3 x 16 x 16, fingerprint ")
