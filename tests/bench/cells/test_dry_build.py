"""What can be known before training is refused before training."""

import pytest
import torch
from torch import nn

from quantdg.bench.cells.dry_build import build_network, try_network
from quantdg.bench.experiment.component import Component
from quantdg.bench.models.base import DGModel
from quantdg.bench.models.vision import vision
from quantdg.core.errors import ConfigError
from quantdg.datasets.base import Outline


class Featurizer(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.stem = kind, nn.Conv2d(3, 8, 3, 2, 1)
        if kind == "old weight_norm":
            self.stem = nn.utils.weight_norm(self.stem)
            self.stem(torch.rand(1, 3, 8, 8))
        if kind == "script":
            self.more = torch.jit.script(nn.Conv2d(8, 8, 3))
        if kind == "half":
            self.more = nn.Conv2d(8, 8, 3).half()

    def forward(self, x):
        x = self.stem(x).relu()
        if self.kind == "pair in training" and self.training:
            return x.mean((2, 3)), x
        return x if self.kind == "map" else x.mean((2, 3))


@pytest.mark.filterwarnings("ignore:.*weight_norm", "ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("good", None),
        ("pair in training", "in training it ends with TypeError"),
        ("map", r"in training it ends with RuntimeError|in training 2 images give shape"),
        ("script", r"must be of Python modules, but featurizer\.more is a script"),
        ("half", r"must be float32, but featurizer\.more\.weight is torch\.float16; .* protocol\.precision=bf16"),
        ("old weight_norm", "in training it ends with RuntimeError.*weight_norm"),
    ],
)
def test_a_network_that_cannot_train_is_refused(kind, message):
    network = DGModel(Featurizer(kind), 8, 4)
    before = torch.get_rng_state()
    if message is None:
        try_network(network, (3, 16, 16))
    else:
        with pytest.raises(ConfigError, match=message):
            try_network(network, (3, 16, 16))
    assert torch.equal(torch.get_rng_state(), before)


def test_images_too_small_for_a_network_are_refused():
    with pytest.raises(ConfigError, match=r"images of shape \(3, 8, 8\), but in training it ends with"):
        try_network(vision((3, 8, 8), 4, arch="squeezenet1_1"), (3, 8, 8))


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
@pytest.mark.filterwarnings("ignore")
def test_further_classifiers_are_taken_off(arch):
    try_network(vision((3, 96, 96), 4, arch=arch), (3, 96, 96))


def test_a_try_takes_one_thread_and_gives_the_others_back():
    seen = []

    class Counting(nn.Module):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return x.mean((2, 3))

    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        try_network(Counting(), (3, 8, 8))
        assert (seen, torch.get_num_threads()) == ([1, 1], 3)
    finally:
        torch.set_num_threads(threads)


def lazy(shape, classes):
    return DGModel(nn.Sequential(nn.Flatten(), nn.LazyLinear(8)), 8, classes)


def test_a_network_whose_parameters_have_no_shape_yet_is_refused():
    model = Component("lazy", f"{__name__}.lazy", {})
    with pytest.raises(ConfigError, match=r"'featurizer\.1\.weight' has no shape yet; run the network once"):
        build_network(model, Outline(("d",), ("d",), ("a", "b"), (3, 8, 8), "f"))
