"""``quantdg prepare``: the files of a data set, checked or fetched."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.text import say

if TYPE_CHECKING:
    from ...datasets.inventory import Inventory


def prepare(argv: Sequence[str]) -> int:
    """Check the files of a data set, or fetch them where a public source still serves them; prints what is there.

    ``quantdg prepare dataset=NAME data.root=DIR``
    """
    overrides = prepare_parser().parse_args(argv).overrides
    from ...datasets.prepare import inspect
    from ...datasets.prepare import prepare as fetch
    from ..experiment.load import load
    from ..training.data import load_dataset

    experiment = load(overrides)
    for number, setup in enumerate(experiment.setups):
        dataset = setup.dataset
        if not dataset.origin:  # another package's loader says itself what it needs
            fetch(dataset.choice, experiment.paths.root_of(dataset.name))
        say("\n" * (number > 0) + inventory_text(inspect(load_dataset(dataset, experiment.paths))))
    return 0


def prepare_parser() -> argparse.ArgumentParser:
    """The words of ``quantdg prepare``, all of them settings."""
    parser = argparse.ArgumentParser("quantdg prepare", description=prepare.__doc__)
    parser.add_argument("overrides", nargs="+")
    return parser


def prepare_words(words: Sequence[str]) -> list[str]:
    """What the last word may become, for completion."""
    from ..experiment.words import continuations

    return continuations(words)


def inventory_text(inventory: Inventory) -> str:
    """Return images by domain and class, and the fingerprint that goes into every record."""
    import pandas as pd

    frame = pd.DataFrame(inventory.counts).T
    frame.insert(0, "all", frame.sum(axis=1))
    channels, height, width = inventory.shape
    published = f" ({inventory.published} are published)" if inventory.published else ""
    head = f"{inventory.name}: {inventory.total} images{published}, {channels} x {height} x {width}"
    return f"{head}, fingerprint {inventory.fingerprint}\n\n{frame.to_markdown(disable_numparse=[0])}"
