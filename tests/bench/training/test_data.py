"""No leak from the target, and batches that depend on (data set, target, seed, step) only."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantdg.bench.experiment.protocol import Protocol
from quantdg.bench.training.data import CellData
from quantdg.bench.training.seeds import SeedSource, derive, seed_everything
from quantdg.core.errors import DataError
from quantdg.datasets.augment import augment, get_augmentation
from quantdg.datasets.base import Domain, DomainDataset
from quantdg.datasets.folder import load_folder

PROTOCOL = Protocol(
    name="test",
    steps=9,
    start_step=2,
    check_every=1,
    batch_size=4,
    lr=1e-3,
    weight_decay=0.0,
    holdout=0.2,
    bn="frozen",
    augmentation="none",
    calibration_batches=2,
    eval_batch=8,
)


def dataset(count=20):
    """Every image of domain d is the constant 10 * d + 5."""
    domains = []
    for d in range(3):
        images = np.full((count, 3, 8, 8), 10 * d + 5, dtype=np.uint8)
        domains.append(Domain(f"d{d}", images, np.arange(count) % 2))
    return DomainDataset("constant", tuple(domains), ("a", "b"), "print", (0.0,) * 3, (1.0,) * 3)


def values(x):
    return set((x * 255).round().int().unique().tolist())


@pytest.mark.parametrize("target", [0, 1, 2])
def test_training_and_calibration_see_no_target_image(target):
    data = CellData(dataset(), target, 0, PROTOCOL, "cpu")
    seen = set()
    for step in range(1, 5):
        seen |= {v for x, _ in data.batches(step) for v in values(x)}
    for x in data.calibration():
        seen |= values(x)
    assert seen == {10 * d + 5 for d in range(3) if d != target}


def test_training_and_calibration_see_no_validation_image():
    base = dataset()
    marked = []
    for i, d in enumerate(base.domains):
        images = d.images.copy()
        _, validation = CellData(base, 2, 0, PROTOCOL, "cpu").train, CellData(base, 2, 0, PROTOCOL, "cpu").validation
        if i in validation:
            images[validation[i]] = 255
        marked.append(Domain(d.name, images, d.labels))
    data = CellData(
        DomainDataset("constant", tuple(marked), base.classes, "print", base.mean, base.std), 2, 0, PROTOCOL, "cpu"
    )
    for step in range(1, 30):
        assert all(255 not in values(x) for x, _ in data.batches(step))
    assert all(255 not in values(x) for x in data.calibration())
    assert all(values(x) == {255} for x, _ in data.evaluation(0, data.validation[0]))


def test_batches_are_a_function_of_the_step():
    protocol = replace(PROTOCOL, augmentation="digits")
    one, other = CellData(dataset(), 0, 0, protocol, "cpu"), CellData(dataset(), 0, 0, protocol, "cpu")
    for step in (7, 3, 7):
        for (x, y), (a, b) in zip(one.batches(step), other.batches(step), strict=True):
            assert torch.equal(x, a)
            assert torch.equal(y, b)
    assert not torch.equal(one.batches(3)[0][1], one.batches(4)[0][1]) or not torch.equal(
        one.batches(3)[1][1], one.batches(4)[1][1]
    )


def test_seeds_know_nothing_but_data_set_target_and_seed():
    assert SeedSource("a", "b", 0).of("init") == SeedSource("a", "b", 0).of("init")
    parts = [("a", "b", 0), ("a", "b", 1), ("a", "c", 0), ("x", "b", 0)]
    assert len({SeedSource(*p).of("init") for p in parts}) == 4
    assert derive("a", 1) != derive("a", 2) != derive("a/1")


def test_seeding_covers_all_three_generators():
    def draw():
        seed_everything(5)
        return torch.rand(1).item(), random.random(), np.random.rand()

    assert draw() == draw()


def test_a_domain_too_small_to_split_is_named():
    with pytest.raises(DataError, match="'d0' has 4 in all"):
        CellData(dataset(4), 0, 0, PROTOCOL, "cpu")


def private_bytes():
    """Memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_photographs_are_decoded_once_and_stay_in_the_map(tmp_path, monkeypatch):
    """Two checkpoints read all images, 157 MB: no file is opened again, and no copy of the set lies in memory."""
    for domain in "ab":
        (tmp_path / domain / "cat").mkdir(parents=True)
        for k in range(400):
            Image.new("RGB", (8, 8), (k % 256, 0, 0)).save(tmp_path / domain / "cat" / f"{k}.bmp")
    augment(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        get_augmentation("domainbed"),
        torch.Generator(),
        (0.5,) * 3,
        (0.5,) * 3,
    )
    before, peak = private_bytes(), 0  # with the compiler of the augmentation in memory
    photos = load_folder("p", root=tmp_path, cache_dir=tmp_path / "cache", size=256)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened again"))
    data = CellData(photos, 0, 0, replace(PROTOCOL, augmentation="domainbed"), "cpu")
    for step in range(2):
        data.batches(step)
        for domain in range(2):
            for images, _ in data.evaluation(domain, np.arange(400)):
                assert images.shape == (8, 3, 256, 256)
                peak = max(peak, private_bytes())
    assert peak - before < sum(d.images.nbytes for d in photos.domains) / 2
