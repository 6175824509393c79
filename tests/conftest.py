"""Small pieces every test may use: a quick grid on the embedded digits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.grid import Cell, Experiment
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.data import CellData, load_dataset
from tests.browser import chromium

QUICK = (
    "targets=[thick]",
    "seeds=1",
    "protocol.steps=12",
    "protocol.start_step=5",
    "protocol.check_every=2",
    "model.width=4",
    "launcher.jobs=0",
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test draws the same numbers in every run and in any order, its fixtures too."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")  # a driver that runs lets no other test start an event loop
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def quick(tmp_path: Path) -> Callable[..., Experiment]:
    """An experiment of seconds, in this process, below tmp_path."""

    def load(*overrides: str, out: str = "runs") -> Experiment:
        return config.load([*QUICK, f"out={tmp_path / out}", *overrides])

    return load


def cell_data(experiment: Experiment, cell: Cell) -> CellData:
    dataset = load_dataset(experiment.setups[0].dataset, experiment.paths)
    group = cell.group
    return CellData(dataset, dataset.index(group.target), group.seed, group.protocol, "cpu")


@pytest.fixture
def cell(quick: Callable[..., Experiment]) -> Callable[..., tuple[Cell, CellData]]:
    """The first cell of a quick experiment, with its data."""

    def first(*overrides: str) -> tuple[Cell, CellData]:
        experiment = quick(*overrides)
        chosen = load_and_plan(experiment)[0]
        return chosen, cell_data(experiment, chosen)

    return first
