"""Checks on one GPU: `make gpu`. Without a GPU they are skipped; GPU_CHECKS=cpu tries the checks themselves, tiny, on a CPU."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.experiment.protocol import Protocol, train_mode
from quantdg.bench.models.vision import vision
from quantdg.bench.optimizers.adam import adam
from quantdg.bench.training.branch import put_into_training
from quantdg.bench.training.data import CellData
from quantdg.bench.training.float_phase import train_step
from quantdg.bench.training.precision import Computing
from quantdg.bench.training.seeds import use_deterministic
from quantdg.datasets.base import Domain, DomainDataset

DRY = os.environ.get("GPU_CHECKS") == "cpu"
DEVICE = "cpu" if DRY else "cuda"
ROWS = []
LIBRARY_WAITS = {"torch_ao", "torch_ao_fx", "torch_ao_learnable", "torchao_affine", "torchao_learnable"}
WAITS = {*LIBRARY_WAITS, "profit"}
"""Quantizers that wait for a GPU in a step: see tests/bench/algorithms/test_no_waiting.py for the reasons."""
ALGORITHM_WAITS = {"augmix_jsd", "ddg"}
"""Algorithms that do: torchvision's AugMix sends its draws to the device one by one."""


@dataclass(frozen=True)
class Size:
    """How large the timed training is."""

    arch: str = "resnet50"
    pixels: int = 224
    batch: int = 32
    images: int = 256
    steps: int = 30
    product: int = 8192


SIZE = Size("resnet18", 64, batch=2, images=12, steps=2, product=256) if DRY else Size()


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(
                pytest.mark.filterwarnings("default")
            )  # the compiler and its debug modes warn of themselves
            if not DRY and not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="torch finds no GPU here"))


def pytest_terminal_summary(terminalreporter):
    """The table for docs/gpu.md."""
    if not ROWS:
        return
    name = "a CPU, which proves the checks only" if DRY else torch.cuda.get_device_name()
    terminalreporter.write_line(
        f"\nMeasured on {name}, torch {torch.__version__}:\n\n| what | measured | aim |\n|---|---|---|"
    )
    for row in ROWS:
        terminalreporter.write_line("| " + " | ".join(row) + " |")


@pytest.fixture
def device():
    return DEVICE


@pytest.fixture
def dry():
    return DRY


@pytest.fixture
def row():
    """Adds a row to the table."""

    def add(what, measured, aim=""):
        ROWS.append((what, measured, aim))

    return add


@pytest.fixture(autouse=True)
def as_a_worker_does():
    threads = torch.get_num_threads()
    use_deterministic(threads)
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.mha.set_fastpath_enabled(True)


@pytest.fixture(scope="session")
def photos():
    """Random photographs of four domains."""
    rng = np.random.default_rng(0)
    shape = (SIZE.images, 3, SIZE.pixels, SIZE.pixels)
    domains = [
        Domain(f"d{d}", rng.integers(0, 256, shape, dtype=np.uint8), rng.integers(0, 7, SIZE.images)) for d in range(4)
    ]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return DomainDataset("photos", tuple(domains), tuple("abcdefg"), "none", mean, std)


PROTOCOL = Protocol(
    name="speed",
    steps=10**6,
    start_step=10**6 - 1,
    check_every=1,
    batch_size=SIZE.batch,
    lr=5e-5,
    weight_decay=0.0,
    holdout=0.2,
    bn="frozen",
    augmentation="domainbed",
    calibration_batches=1,
    eval_batch=64,
)


class Training:
    """ERM on photographs as a cell trains, with a quantizer or without."""

    def __init__(self, photos, precision="bf16", compiled=False, quantizer=None):
        torch.manual_seed(0)
        self.data = CellData(photos, 3, 0, PROTOCOL, DEVICE)
        network = vision(photos.shape, 7, arch=SIZE.arch).to(DEVICE)
        self.algorithm = ERM(network, 3, lambda params: adam(params, lr=5e-5, weight_decay=0.0))
        self.quantizer, self.done = quantizer, 0
        if quantizer is not None:
            batches = list(self.data.calibration())
            quantizer.prepare(network, batches[0])
            quantizer.calibrate(network, batches)
            put_into_training(self.algorithm, quantizer, 5e-5)
        train_mode(self.algorithm, freeze_bn=True)
        self.algorithm.computing = Computing(network, precision, compiled)

    def step(self):
        self.done += 1
        terms = train_step(self.algorithm, self.data, self.done)
        if self.quantizer is not None:
            self.quantizer.on_step(self.algorithm.network, self.done)
        return terms


@pytest.fixture
def training(photos):
    return lambda **options: Training(photos, **options)


@pytest.fixture
def size():
    return SIZE


@pytest.fixture
def waits():
    return WAITS | ALGORITHM_WAITS
