"""Where images lie and how batches get to the device: the same batches from every place, and the next ones made ahead."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from quantdg.bench.training import images
from quantdg.bench.training.ahead import Ahead
from quantdg.core import host
from quantdg.datasets.augment import apply, draw, get_augmentation
from quantdg.datasets.base import Domain, DomainDataset


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    domains = tuple(
        Domain(f"d{d}", rng.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8), rng.integers(0, 4, 20)) for d in range(3)
    )
    return DomainDataset("random", domains, ("a", "b", "c", "d"), "print", (0.0,) * 3, (1.0,) * 3)


def test_every_place_gives_the_same_batches(dataset):
    places = [images.AtHand(dataset), images.Sent(dataset, "cpu"), images.Resident(dataset, "cpu")]
    index = np.array([3, 3, 0, 19])
    for domain in range(3):
        expected = dataset.domains[domain]
        for place in places:
            x, y = place.batch(domain, index)
            assert (x.dtype, y.dtype) == (torch.uint8, torch.int64)
            assert np.array_equal(x.numpy(), expected.images[index])
            assert np.array_equal(y.numpy(), expected.labels[index])


def test_a_data_set_is_resident_where_a_quarter_of_the_free_memory_holds_it(dataset):
    size = 3 * 20 * 3 * 8 * 8
    assert images.fits(dataset, 4 * size)
    assert not images.fits(dataset, 4 * size - 1)


def test_groups_of_a_process_share_the_place(dataset):
    first = images.images_of(dataset, "cpu")
    assert isinstance(first, images.AtHand)
    assert images.images_of(dataset, "cpu") is first
    other = DomainDataset("other", dataset.domains, dataset.classes, "print", (0.0,) * 3, (1.0,) * 3)
    assert images.images_of(other, "cpu") is not first


class Recorded:
    """A stream that notes what happens in it, and when it is waited for."""

    def __init__(self):
        self.inside, self.events = False, []

    @contextmanager
    def open(self):
        self.inside = True
        yield
        self.inside = False

    def join(self, tensors):
        self.events.append(("join", [float(t) for t in tensors]))


def test_the_next_batches_are_begun_once_the_present_ones_are_waited_for():
    stream = Recorded()

    def pairs(step):
        assert stream.inside
        stream.events.append(("draw", step))
        return [(torch.tensor(float(step)), torch.tensor(float(step)))]

    ahead = Ahead(pairs, stream, steps=8)
    assert [float(ahead(step)[0][0]) for step in (1, 2, 7, 8)] == [1, 2, 7, 8]
    drawn = [value for kind, value in stream.events if kind == "draw"]
    assert drawn == [1, 2, 3, 7, 8]
    assert stream.events[:4] == [("draw", 1), ("join", [1.0, 1.0]), ("draw", 2), ("join", [2.0, 2.0])]


def test_a_gpu_drops_colour_as_a_cpu_does_bit_for_bit(monkeypatch):
    policy = get_augmentation("domainbed")
    x = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    draws = draw(policy, 40, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = apply(x, draws)
    assert draws.gray is not None
    assert 0 < int(draws.gray.sum()) < 40
    monkeypatch.setattr(host, "HOST", ())
    assert torch.equal(apply(x, draws), expected)
